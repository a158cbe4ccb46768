// Commands of models: load, generate, chat, convert, finetune, fuse, transcribe.
//
// The records are here, the work is in the language: stdlib/lull/commands.lull. The command line has
// generate, chat and convert as well (CommandLine.swift), from the same options.

import Language

extension Session {
  private func libraryRecord(
    _ name: String, _ signature: String, _ doc: String, _ examples: [String]
  ) -> Builtin {
    libraryRecord(name, signature, in: "lull.commands", chapter: "models", doc, examples)
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
        { signature in
          self.libraryRecord(
            "finetune", signature,
            "Fine-tune a model with LoRA, DoRA or all of its weights; the history of the run. Ctrl-C saves what was learned.",
            [
              "%finetune model data/ --iters 200 --learning-rate 1e-4",
              "%finetune model data/ --method dora --num-layers -1 --mask-prompt",
              "%finetune model data/ --resume",
            ])
        }, name: "finetune", options: CommandOption.finetune, positional: ["model", "data"]),
      Command(
        { signature in
          self.libraryRecord(
            "fuse", signature,
            "Write a model with its adapters merged into the weights, as an MLX directory or a .gguf file.",
            [
              "%fuse models/SmolLM2-135M-Instruct.Q4_1.gguf adapters fused",
              "%fuse SmolLM2-mlx adapters fused.gguf --gguf-type Q8_0",
            ])
        }, name: "fuse", options: [.modelFile] + CommandOption.fuse,
        positional: ["adapter_path", "save_path"]),
      Command(
        { signature in
          self.libraryRecord(
            "transcribe", signature,
            "Speech to text with a Whisper model; the result is a dict with text, segments and language. Ctrl-C ends it with what there is.",
            [
              "%transcribe talk.flac --model models/whisper-tiny.en",
              "%transcribe talk.mp3 --model models/whisper-base --beam-size 5 --word-timestamps",
            ])
        }, name: "transcribe", options: CommandOption.transcribe),
    ]
  }
}
