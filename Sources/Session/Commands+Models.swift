// Commands of language models: load, generate, finetune.
//
// The records are here, the work is in the language: stdlib/lull/commands.lull.

import Language

extension Session {
  private func libraryRecord(
    _ name: String, _ signature: String, _ doc: String, _ examples: [String]
  ) -> Builtin {
    // The record is known only once it is made, and its code needs it.
    final class Box { var record: Builtin? }
    let box = Box()
    let record = Builtin(name, signature, chapter: "models", doc: doc, examples: examples) {
      [unowned self] (a) throws(LullError) in
      guard let record = box.record else { return .none }
      return try self.callLibrary("lull.commands", name, a, record)
    }
    box.record = record
    return record
  }

  func modelCommands() -> [Command] {
    [
      Command(
        libraryRecord(
          "load", "load(path, adapter_path=None)",
          "Load a model and its tokenizer from a .gguf file or a directory: (model, tokenizer).",
          [
            "%load models/SmolLM2-135M-Instruct.Q4_1.gguf",
            "model, tokenizer = %load models/SmolLM2-135M-Instruct.Q4_1.gguf",
          ]),
        kinds: ["path": .path, "adapter_path": .path]),
      Command(
        libraryRecord(
          "generate",
          "generate(model, prompt, max_tokens=256, temp=0.0, top_p=0.0, min_p=0.0, top_k=0, "
            + "seed=None, system=None, raw=False, verbose=True)",
          "Generate text with a loaded model and print it as it comes; --raw leaves out the chat template.",
          [
            "%generate model \"Why is the sky blue?\" --max-tokens 60",
            "%generate model \"Once upon a time\" --raw --temp 0.8 --seed 1",
          ]),
        kinds: ["prompt": .text, "system": .text]),
      Command(
        libraryRecord(
          "finetune",
          "finetune(model, data, method=\"lora\", iters=100, batch_size=4, learning_rate=1e-5, "
            + "num_layers=16, rank=8, scale=20.0, dropout=0.0, max_seq_length=2048, "
            + "steps_per_report=10, adapter_path=None, seed=0)",
          "Fine-tune a loaded model with LoRA on a text file, a .jsonl file or a directory; the losses.",
          ["%finetune model data/ --method lora --iters 200"]),
        kinds: ["data": .path, "method": .text, "adapter_path": .path]),
    ]
  }
}
