// The options of the commands of language models, each declared once: the parameter, how a word becomes
// its value, what it says in a help text, and the names that mlx-lm's command line has for it.

import Language

struct CommandOption {
  /// As in a signature: `max_tokens=256`.
  let declaration: String
  let help: String
  let kind: ArgumentKind
  /// Further names of the option, of one letter or of mlx-lm's command line; the command line shows the first long one.
  let aliases: [String]
  /// Given several times, the values become a list.
  let repeats: Bool

  init(
    _ declaration: String, _ help: String, kind: ArgumentKind = .expression,
    aliases: [String] = [], repeats: Bool = false
  ) {
    self.declaration = declaration
    self.help = help
    self.kind = kind
    self.aliases = aliases
    self.repeats = repeats
  }

  /// The parameter's name.
  var name: String { String(declaration.prefix { $0 != "=" }) }

  static let model = CommandOption(
    "model", "a .gguf file or a model directory, or what load returned")
  static let modelFile = CommandOption(
    "model", "the model that the adapters are for: a directory or a .gguf file", kind: .path)
  static let systemPrompt = CommandOption(
    "system=None", "the system's message, for the chat template", kind: .text,
    aliases: ["system_prompt"])
  static let templateConfig = CommandOption(
    "chat_template_config=None",
    "variables of the chat template, as JSON: {\"enable_thinking\": false}", kind: .text)
  static let adapterPath = CommandOption(
    "adapter_path=None", "a directory of LoRA adapters to put on the model", kind: .path)
  static let sampling: [CommandOption] = [
    CommandOption("temp=0.0", "the sampling temperature; 0 takes the likeliest token"),
    CommandOption("top_p=0.0", "sample from the likeliest tokens of this total probability"),
    CommandOption(
      "min_p=0.0", "leave out tokens below this share of the likeliest one's probability"),
    CommandOption("top_k=0", "sample from so many of the likeliest tokens"),
    CommandOption("min_tokens_to_keep=1", "how many tokens min-p keeps in any case"),
    CommandOption("xtc_probability=0.0", "how often XTC leaves out the likeliest tokens"),
    CommandOption("xtc_threshold=0.0", "the probability from which XTC leaves tokens out"),
    CommandOption("repetition_penalty=None", "divide the scores of tokens that came before"),
    CommandOption("seed=None", "start the random numbers here, so that the text can be repeated"),
  ]
  static let caches: [CommandOption] = [
    CommandOption(
      "max_kv_size=None", "keep the first 4 and the last of so many tokens in the cache"),
    CommandOption("kv_bits=None", "bits of a quantised cache"),
    CommandOption("kv_group_size=64", "values of a quantised cache that share a scale"),
    CommandOption("quantized_kv_start=5000", "quantise the cache once it holds so many tokens"),
    CommandOption("prefill_step_size=2048", "tokens of the prompt that are read at a time"),
  ]
  static let drafts: [CommandOption] = [
    CommandOption(
      "draft_model=None", "a smaller model with the same vocabulary, which guesses", kind: .path),
    CommandOption("num_draft_tokens=3", "how many tokens the draft model guesses at a time"),
    CommandOption("prompt_lookup=0", "guess up to so many tokens from the text so far"),
  ]
  static let stop = CommandOption(
    "stop=None", "end before this text; can be given several times", kind: .text,
    repeats: true)

  static let generate: [CommandOption] =
    [
      CommandOption(
        "prompt", "the text to answer, or to continue; - reads standard input (command line)",
        kind: .text, aliases: ["p"]),
      CommandOption(
        "max_tokens=256", "the most tokens to generate; -1 for no limit", aliases: ["m"]),
    ] + sampling + [
      stop, systemPrompt,
      CommandOption(
        "raw=False", "give the prompt as it is, without the chat template",
        aliases: ["ignore_chat_template"]),
      templateConfig,
      CommandOption("prefill_response=None", "how the answer begins", kind: .text),
      CommandOption("verbose=True", "show the text as it comes, and the figures"),
    ] + caches + [
      CommandOption(
        "prompt_cache_file=None", "a prompt cache to go on from (save_prompt_cache writes one)",
        kind: .path)
    ] + drafts + [adapterPath]

  static let chat: [CommandOption] =
    [CommandOption("max_tokens=512", "the most tokens of a reply", aliases: ["m"])] + sampling
    + [stop, systemPrompt] + caches + [adapterPath]

  static let finetune: [CommandOption] = [
    CommandOption(
      "model=None", "a .gguf file or a model directory, or what load returned", kind: .expression),
    CommandOption(
      "data=None",
      "a directory with train.jsonl, valid.jsonl and test.jsonl, a .jsonl or text file, or records",
      kind: .path),
    CommandOption(
      "config=None", "a YAML file with settings; those given here win", kind: .path, aliases: ["c"]),
    CommandOption(
      "fine_tune_type=\"lora\"", "lora, dora or full (all weights of the last blocks)", kind: .text,
      aliases: ["method"]),
    CommandOption("train=True", "train (without it only the test set is evaluated)"),
    CommandOption("iters=1000", "iterations to train for"),
    CommandOption("batch_size=4", "sequences of a batch"),
    CommandOption("learning_rate=1e-5", "the optimizer's learning rate"),
    CommandOption(
      "lr_schedule=None", "a schedule: {\"name\": \"cosine_decay\", \"arguments\": [1e-5, 1000]}",
      kind: .text),
    CommandOption("optimizer=\"adam\"", "adam, adamw, muon, sgd or adafactor", kind: .text),
    CommandOption(
      "optimizer_config=None", "its further settings: {\"adamw\": {\"weight_decay\": 0.1}}",
      kind: .text),
    CommandOption("num_layers=16", "how many of the last blocks are adapted; -1 for all"),
    CommandOption("rank=8", "the rank of the adapters"),
    CommandOption("scale=20.0", "what the adapters' output is multiplied by"),
    CommandOption("dropout=0.0", "how often an input of the adapters is left out"),
    CommandOption(
      "keys=None",
      "adapt only this layer of the blocks (self_attn.q_proj); can be given several times",
      kind: .text, repeats: true),
    CommandOption(
      "lora_parameters=None", "rank, scale, dropout and keys in one, as mlx-lm's files have them",
      kind: .text),
    CommandOption("mask_prompt=False", "leave the prompts out of the loss"),
    CommandOption("max_seq_length=2048", "cut sequences at so many tokens"),
    CommandOption("val_batches=25", "batches of a validation; -1 for all"),
    CommandOption("steps_per_report=10", "iterations between reports"),
    CommandOption("steps_per_eval=200", "iterations between validations"),
    CommandOption("early_stopping=0", "end after so many validations without a better loss"),
    CommandOption("grad_accumulation_steps=1", "batches whose gradients are added up for a step"),
    CommandOption(
      "grad_checkpoint=False", "compute the blocks again for the gradient, to need less memory"),
    CommandOption("clear_cache_threshold=0", "give memory back when more bytes than this are kept"),
    CommandOption(
      "adapter_path=\"adapters\"", "where adapters, log and checkpoints go; None for nowhere",
      kind: .path),
    CommandOption("save_every=100", "iterations between checkpoints"),
    CommandOption("resume=False", "go on from the checkpoint in adapter_path"),
    CommandOption("resume_adapter_file=None", "begin with the weights of this file", kind: .path),
    CommandOption("test=False", "evaluate the test set at the end"),
    CommandOption("test_batches=500", "batches of the test; -1 for all"),
    CommandOption("seed=0", "where the random numbers start"),
  ]

  static let transcribe: [CommandOption] = [
    CommandOption(
      "audio",
      "the sound: a file (WAV, FLAC, OGG, MP3, ...), - for standard input, or samples at 16 kHz",
      kind: .path, repeats: true),
    CommandOption(
      "model=None", "a directory of a Whisper model; without it the one used last", kind: .path),
    CommandOption(
      "output_format=None", "write files: txt, srt, vtt, tsv, json or all", kind: .text,
      aliases: ["f"]),
    CommandOption(
      "output_dir=None", "the directory for them; - is standard output", kind: .path,
      aliases: ["o"]),
    CommandOption("output_name=None", "their name, without ending", kind: .text),
    CommandOption("task=\"transcribe\"", "transcribe, or translate (to English)", kind: .text),
    CommandOption(
      "language=None", "the language that is spoken; None finds it out", kind: .text,
      aliases: ["l"]),
    CommandOption("beam_size=None", "search with so many beams; None takes the likeliest token"),
    CommandOption("patience=None", "end a beam search after patience x beam_size candidates"),
    CommandOption("length_penalty=None", "alpha of the penalty on lengths; None divides by length"),
    CommandOption("temperature=0.0", "the sampling temperature of the first try"),
    CommandOption(
      "temperature_increment_on_fallback=\"0.2\"",
      "what a try that failed adds to the temperature; None ends with the first", kind: .text),
    CommandOption("best_of=5", "samples to choose from at a temperature above 0"),
    CommandOption("seed=None", "start the random numbers here, so that the text can be repeated"),
    CommandOption(
      "compression_ratio_threshold=\"2.4\"", "a text that compresses better failed; None for any",
      kind: .text),
    CommandOption(
      "logprob_threshold=\"-1.0\"", "a text of a lower mean log probability failed; None for any",
      kind: .text),
    CommandOption(
      "no_speech_threshold=\"0.6\"",
      "a window that is silence with more than this probability is skipped; None for none",
      kind: .text),
    CommandOption(
      "condition_on_previous_text=True", "give each window the text before it as its prompt"),
    CommandOption(
      "initial_prompt=None", "text before the first window: names, spelling", kind: .text),
    CommandOption("carry_initial_prompt=False", "give that to every window"),
    CommandOption(
      "suppress_tokens=\"-1\"",
      "ids of tokens to leave out; -1 stands for symbols that nobody says",
      kind: .text),
    CommandOption("without_timestamps=False", "ask the model for text alone"),
    CommandOption("word_timestamps=False", "find the time of each word"),
    CommandOption(
      "prepend_punctuations=None", "with word_timestamps: marks that belong to the next word",
      kind: .text),
    CommandOption(
      "append_punctuations=None", "with word_timestamps: marks that belong to the word before",
      kind: .text),
    CommandOption(
      "hallucination_silence_threshold=None",
      "with word_timestamps: skip silence of so many seconds around what was likely not said"),
    CommandOption(
      "clip_timestamps=\"0\"",
      "seconds where parts to transcribe begin and end: start,end,start,...",
      kind: .text),
    CommandOption("highlight_words=False", "with word_timestamps: underline each word in its time"),
    CommandOption("max_line_width=None", "with word_timestamps: characters of a subtitle's line"),
    CommandOption("max_line_count=None", "with word_timestamps: lines of a subtitle"),
    CommandOption("max_words_per_line=None", "with word_timestamps: words of a subtitle"),
    CommandOption(
      "q_bits=None", "quantise the weights when they are loaded: 8 bits", aliases: ["q"]),
    CommandOption("verbose=True", "show the segments as they come, and the figures"),
  ]

  static let fuse: [CommandOption] = [
    CommandOption("adapter_path=\"adapters\"", "the directory of the adapters", kind: .path),
    CommandOption(
      "save_path=\"fused_model\"", "the directory to make, or a file that ends with .gguf",
      kind: .path, aliases: ["o"]),
    CommandOption("dequantize=False", "write the weights as floats", aliases: ["d"]),
    CommandOption(
      "gguf_type=None", "of a .gguf file: F32, F16, BF16, Q8_0, Q4_0 or Q4_K; without it as it was",
      kind: .text),
  ]

  static let convert: [CommandOption] = [
    CommandOption(
      "mlx_path=\"mlx_model\"",
      "the directory to make, or a file that ends with .gguf", kind: .path,
      aliases: ["o"]),
    CommandOption("quantize=False", "quantise the weights", aliases: ["q"]),
    CommandOption("q_bits=None", "bits of a quantised weight: 2, 3, 4, 5, 6 or 8"),
    CommandOption("q_group_size=None", "weights that share a scale: 32, 64 or 128"),
    CommandOption("q_mode=\"affine\"", "affine, mxfp4, mxfp8 or nvfp4", kind: .text),
    CommandOption(
      "quant_predicate=None",
      "bits by layer: mixed_2_6, mixed_3_4, mixed_3_6 or mixed_4_6", kind: .text),
    CommandOption(
      "dtype=None", "what stays unquantised: float16, bfloat16 or float32", kind: .text),
    CommandOption("dequantize=False", "expand the weights of a quantised model", aliases: ["d"]),
    CommandOption(
      "gguf_type=None", "of a .gguf file: F32, F16, Q8_0, Q4_0 or Q4_K", kind: .text),
  ]
}

extension Command {
  /// A command with the parameters of `options`; those with a default are given by name, but for `positional`.
  init(
    _ record: (_ signature: String) -> Builtin, name: String, options: [CommandOption],
    positional: Set<String> = [], isFunction: Bool = true
  ) {
    let first = options.filter { !$0.declaration.contains("=") || positional.contains($0.name) }
    let others = options.filter { $0.declaration.contains("=") && !positional.contains($0.name) }
    let parameters =
      first.map(\.declaration) + (others.isEmpty ? [] : ["*"]) + others.map(\.declaration)
    self.init(
      record("\(name)(\(parameters.joined(separator: ", ")))"),
      kinds: Dictionary(
        options.map { ($0.name, $0.kind) }, uniquingKeysWith: { first, _ in first }),
      isFunction: isFunction, options: options)
  }
}
