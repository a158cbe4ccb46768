// Commands of language models: load, generate, chat, convert, finetune.
//
// The records are here, the work is in the language: stdlib/lull/commands.lull. The command line has
// generate, chat and convert as well (CommandLine.swift), from the same options.

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
        { signature in
          self.libraryRecord(
            "generate", signature,
            "Generate text with a model and print it as it comes, then the figures; --raw leaves out the chat template. Ctrl-C ends it with what there is.",
            [
              "%generate model \"Why is the sky blue?\" --max-tokens 60",
              "%generate model \"Once upon a time\" --raw --temp 0.8 --seed 1",
            ])
        }, name: "generate", options: [.model] + CommandOption.generate),
      Command(
        { signature in
          self.libraryRecord(
            "chat", signature,
            "Talk with a model at the terminal: a line is a turn, q ends the conversation, r begins it anew, Ctrl-C breaks a reply off.",
            [
              "%chat model --temp 0.7 --seed 1",
              "%chat model --system 'Be brief.' --max-tokens 100",
            ])
        }, name: "chat", options: [.model] + CommandOption.chat),
      Command(
        { signature in
          self.libraryRecord(
            "convert", signature,
            "Write a model (a directory or a .gguf file) as an MLX directory, quantised or not, or as a .gguf file.",
            [
              "%convert models/SmolLM2-135M-Instruct.Q4_1.gguf SmolLM2-mlx --q-bits 4",
              "%convert SmolLM2-mlx SmolLM2.gguf --gguf-type Q8_0",
            ])
        }, name: "convert",
        options: [
          CommandOption(
            "hf_path", "the model to convert: a directory or a .gguf file", kind: .path,
            aliases: ["model"])
        ] + CommandOption.convert, positional: ["mlx_path"]),
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
