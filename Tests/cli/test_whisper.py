"""Speech to text: sound files, log-mel frames, the model against reference values, transcripts, the command line, and what goes wrong.

Fixtures are mlx-whisper's results (Tests/Fixtures/whisper); the weights are those that `make test` fetches.
"""

import json
import re
import signal
import struct
import subprocess
import wave
import zlib

import numpy as np
import pytest
from conftest import LULL, ROOT

FIXTURES = ROOT / "Tests" / "Fixtures" / "whisper"
TINY = ROOT / "models" / "whisper-tiny.en"
BASE = ROOT / "models" / "whisper-base"


def expected(model):
    return json.loads((FIXTURES / f"expected.{model}.json").read_text())


def program(lull, text, *arguments, **kwargs):
    """The JSON value that a program prints last."""
    result = lull("-c", "import json\nimport mlx.core as mx\n" + text, *arguments, **kwargs)
    assert result.code == 0, result.err
    return json.loads(result.out.splitlines()[-1])


def write_wav(path, samples, rate=16000, channels=1):
    with wave.open(str(path), "wb") as w:
        w.setparams((channels, 2, rate, 0, "NONE", ""))
        w.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


# --- Sound files ---


def test_sound_files_keep_their_samples(lull):
    text = """
x = 0.8 * mx.sin(mx.arange(16000) * 0.05)
off = {}
for ending in ("wav", "flac", "aiff", "ogg", "mp3"):
    save_audio("a." + ending, x)
    y = load_audio("a." + ending)
    off[ending] = mx.abs(y[:15000] - x[:15000]).max().item() if y.shape[0] >= 15000 else 9
print(json.dumps(off))
"""
    off = program(lull, text)
    for ending in ("wav", "flac", "aiff"):
        assert off[ending] < 1e-4
    assert off["ogg"] < 0.05
    assert off["mp3"] < 2.0  # an encoder's delay moves the samples


def test_channels_are_averaged_and_rates_changed(lull, tmp_path):
    t = np.arange(44100) / 44100
    tone = np.sin(2 * np.pi * 440 * t)
    write_wav(tmp_path / "stereo.wav", np.stack([tone, 0 * tone], 1).reshape(-1), 44100, 2)
    text = "x = load_audio('stereo.wav')\nprint(json.dumps([x.tolist(), audio_info('stereo.wav'), load_audio('stereo.wav', rate=None).shape[0]]))"
    samples, info, whole = program(lull, text)
    assert info == {"rate": 44100, "channels": 2, "frames": 44100, "seconds": 1.0, "format": "WAV"} and whole == 44100
    assert abs(len(samples) - 16000) <= 1
    wanted = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(np.array(samples)[200:-200] - wanted[200 : len(samples) - 200]).max() < 1e-3


def test_what_lies_above_the_new_rate_is_gone(lull, tmp_path):
    t = np.arange(48000) / 48000
    write_wav(tmp_path / "high.wav", 0.9 * np.sin(2 * np.pi * 11000 * t), 48000)
    samples = program(lull, "print(json.dumps(load_audio('high.wav').tolist()))")
    assert np.abs(samples[500:-500]).max() < 1e-4


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("missing.wav", None, "No such file"),
        ("empty.wav", b"", "the file is empty"),
        ("text.wav", b"this is no sound at all, only a line of text\n" * 20, "no sound file"),
        ("header.wav", b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00", "no sound"),
        ("nothing.wav", b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00", "no samples"),
        ("cut.flac", b"fLaC\x00\x00\x00\x22\x10\x00\x10\x00", "no sound file"),
    ],
)
def test_bad_files_are_named(lull, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = lull("-c", f"load_audio({name!r})")
    assert result.code == 1
    last = [line for line in result.err.splitlines() if "Error:" in line][-1]
    assert name in last and message in last, last


def test_a_directory_is_no_sound_file(lull, tmp_path):
    (tmp_path / "folder").mkdir()
    result = lull("-c", "load_audio('folder')")
    assert result.code == 1 and "folder: open: is a directory; give a sound file" in result.err


def test_channel_counts_out_of_bounds(lull, tmp_path):
    head = b"RIFF\x40\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\xff\xff\x80\x3e\x00\x00\x00\x7d\x00\x00\xfe\xff\x10\x00data\xff\xff\xff\x7f"
    (tmp_path / "many.wav").write_bytes(head + b"\0" * 64)
    result = lull("-c", "load_audio('many.wav')")
    assert result.code == 1 and "many.wav" in result.err


def test_a_length_in_a_header_is_not_believed(lull, tmp_path):
    path = write_wav(tmp_path / "long.wav", np.zeros(1600))
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", 0x7FFFFFF0)
    path.write_bytes(data)
    assert program(lull, "print(json.dumps(load_audio('long.wav').shape[0]))") == 1600


def test_damaged_files_never_end_the_session(lull, tmp_path):
    """Bytes of whole files changed at random: each is an error that names the file, or samples."""
    rng = np.random.default_rng(0)
    names = []
    text = "x = 0.5 * mx.sin(mx.arange(4000) * 0.1)\nfor e in ('wav', 'flac', 'ogg', 'mp3'): save_audio('good.' + e, x)\nprint(1)"
    program(lull, text)
    for ending in ("wav", "flac", "ogg", "mp3"):
        good = (tmp_path / f"good.{ending}").read_bytes()
        for i in range(12):
            data = bytearray(good)
            for at in rng.integers(0, len(data), 1 + i):
                data[at] = rng.integers(256)
            names.append(f"bad{i}.{ending}")
            (tmp_path / names[-1]).write_bytes(bytes(data[: rng.integers(1, len(data))] if i % 3 == 0 else data))
    text = f"""
count = 0
for name in {names!r}:
    try:
        count += load_audio(name).shape[0] > 0
    except ValueError as error:
        assert name in str(error), error
        count += 1
print(json.dumps(count))
"""
    assert program(lull, text) == len(names)


def test_what_cannot_be_saved(lull):
    for call, message in {
        "save_audio('a.xyz', mx.zeros((10,)))": "end it with .wav",
        "save_audio('a.wav', mx.zeros((2, 10)))": "along one axis",
        "save_audio('a.wav', mx.zeros((0,)))": "along one axis",
        "save_audio('a.wav', mx.array([0.0, float('nan')]))": "only finite numbers",
        "save_audio('a.wav', mx.zeros((10,)), rate=0)": "rate must be between",
        "save_audio('nowhere/a.wav', mx.zeros((10,)))": "nowhere/a.wav",
        "load_audio('a.wav', rate=-1)": "rate must be between",
    }.items():
        result = lull("-c", call)
        assert result.code == 1 and message in result.err, (call, result.err)


def test_zlib_is_pythons(lull):
    text = "lull " * 300 + "Größe"
    found = program(
        lull,
        f"import zlib\nd = {text!r}.encode()\nc = zlib.compress(d)\n"
        "print(json.dumps([c.hex(), zlib.decompress(c) == d, zlib.crc32(d), zlib.adler32(d), len(zlib.compress(d, 1))]))",
    )
    data = text.encode()
    assert found == [zlib.compress(data).hex(), True, zlib.crc32(data), zlib.adler32(data), len(zlib.compress(data, 1))]
    for call in ("zlib.decompress(b'no')", "zlib.decompress(zlib.compress(b'a' * 99)[:9])", "zlib.compress(b'', 11)", "zlib.compress('')"):
        assert lull("-c", "import zlib\n" + call).code == 1


# --- Frames and the model ---


def test_log_mel_frames(lull):
    text = f"""
from mlx_whisper.audio import *
wanted = mx.load({str(FIXTURES / 'espeak_short.logmel.npy')!r})
file = {str(FIXTURES / 'espeak_short.wav')!r}
whole = log_mel_spectrogram(pad_or_trim(load_audio(file)))
padded = log_mel_spectrogram(file, padding=N_SAMPLES)
print(json.dumps([whole.shape, mx.abs(whole[:700] - wanted).max().item(), mx.abs(padded[:700] - wanted).max().item(), padded.shape]))
"""
    shape, off, padded, padded_shape = program(lull, text)
    assert shape == [3000, 80] and off < 1e-4 and padded < 1e-4
    assert padded_shape == [(83685 + 480000) // 160, 80]


MODEL_CHECK = """
from mlx_whisper import load_model
from mlx_whisper.audio import *
model = load_model({model!r})
out = {{}}
for name in {names!r}:
    mel = log_mel_spectrogram(pad_or_trim(load_audio({fixtures!r} + '/' + name + '.wav')))
    features = model.embed_audio(mel[None])
    start = {start!r}
    found = {{'logits': model.logits(mx.array([start]), features)[0, -1].tolist(), 'encoder': features[0, :100].tolist()}}
    for key, options in (('timestamps', {{}}), ('no_timestamps', {{'without_timestamps': True}})):
        r = model.decode(features[0], language='en', fp16=False, **options)
        found[key] = [r.tokens, r.text, r.avg_logprob, r.no_speech_prob]
    if model.is_multilingual:
        found['languages'] = model.detect_language(mel)[1]
    out[name] = found
print(json.dumps(out))
"""


@pytest.mark.parametrize("name, folder", [("tiny.en", TINY), ("base", BASE)])
def test_model_agrees_with_the_reference(lull, name, folder):
    reference = expected(name)
    names = list(reference["audio"])
    text = MODEL_CHECK.format(
        model=str(folder), names=[n for n in names if n != "espeak_long"], fixtures=str(FIXTURES),
        start=reference["sot_sequence_no_timestamps"],
    )
    found = program(lull, text)
    for sound, values in found.items():
        wanted = reference["audio"][sound]
        logits = np.load(FIXTURES / f"{sound}.{name}.first_logits.npy").reshape(-1)
        assert np.abs(np.array(values["logits"]) - logits).max() < 1e-3
        encoder = FIXTURES / f"{sound}.{name}.encoder_0_100.npy"
        if encoder.exists():
            assert np.abs(np.array(values["encoder"]) - np.load(encoder)).max() < 1e-3
        for key in ("timestamps", "no_timestamps"):
            tokens, said, logprob, silence = values[key]
            first = wanted[f"mlx_whisper_first_window_{key}"]
            assert tokens == first["ids"] and said == first["text"]
            assert abs(logprob - first["avg_logprob"]) < 2e-3
            assert abs(silence - first["no_speech_prob"]) < 1e-3
        for code, share in wanted.get("language_probabilities_top5", []):
            assert abs(values["languages"][code] - share) < 1e-3


def test_whole_transcript_agrees_with_the_reference(lull):
    wanted = json.loads((FIXTURES / "expected.tiny.en.transcribe.json").read_text())["audio"]["espeak_long"]
    text = f"""
from mlx_whisper import transcribe
r = transcribe({str(FIXTURES / 'espeak_long.flac')!r}, path_or_hf_repo={str(TINY)!r}, temperature=0.0, condition_on_previous_text=False,
               compression_ratio_threshold=None, logprob_threshold=None, no_speech_threshold=None)
print(json.dumps(r))
"""
    found = program(lull, text)
    assert found["text"] == wanted["text"] and found["language"] == "en"
    assert len(found["segments"]) == len(wanted["segments"])
    for ours, theirs in zip(found["segments"], wanted["segments"]):
        assert ours["tokens"] == theirs["ids"] and ours["seek"] == theirs["seek"]
        assert abs(ours["start"] - theirs["start"]) < 1e-6 and abs(ours["end"] - theirs["end"]) < 1e-6
    assert [s["id"] for s in found["segments"]] == list(range(len(found["segments"])))


def test_ways_to_decode(lull):
    text = f"""
from mlx_whisper import load_model, transcribe
model = load_model({str(TINY)!r})
file = {str(FIXTURES / 'human_words.wav')!r}
said = lambda **options: transcribe(file, model=model, temperature=0.0, **options)['text']
mx.random.seed(1)
sampled = transcribe(file, model=model, temperature=(0.4,), best_of=3)
out = {{
    'greedy': said(), 'beam': said(beam_size=5), 'patience': said(beam_size=3, patience=2.0), 'penalty': said(beam_size=2, length_penalty=0.5),
    'plain': said(without_timestamps=True), 'full': said(fp16=False), 'sampled': sampled['text'], 'temperature': sampled['segments'][0]['temperature'],
    'eight': transcribe(file, model=load_model({str(TINY)!r}, q_bits=8), temperature=0.0)['text'],
    'suppressed': said(suppress_tokens='-1,' + str(model._tokenizer.encode(' Front', False)[0])),
    'prompted': said(initial_prompt='Words: left, right.'), 'clipped': said(clip_timestamps='0,2.2'),
    'prefix': said(prefix='Front'),
}}
print(json.dumps(out))
"""
    found = program(lull, text)
    words = " Front, center, rear, left, side, right, front, right."
    for name in ("greedy", "beam", "patience", "penalty", "plain", "full", "eight"):
        assert found[name] == words, name
    assert found["temperature"] == 0.4 and "right" in found["sampled"]
    assert not found["suppressed"].startswith(" Front") and "right" in found["prompted"]
    assert "right" not in found["clipped"] and "enter" in found["clipped"]


def test_beam_search_finds_likelier_texts(lull):
    text = f"""
from mlx_whisper import load_model
from mlx_whisper.audio import *
model = load_model({str(TINY)!r})
mel = log_mel_spectrogram(pad_or_trim(load_audio({str(FIXTURES / 'espeak_short.wav')!r})))
features = model.embed_audio(mel[None])[0]
results = [model.decode(features, beam_size=n) for n in (1, 5)] + [model.decode(features)]
print(json.dumps([[r.avg_logprob, r.tokens] for r in results]))
"""
    (one, one_tokens), (five, _), (greedy, greedy_tokens) = program(lull, text)
    assert one_tokens == greedy_tokens and abs(one - greedy) < 1e-3 and five > greedy


def test_word_times(lull):
    text = f"""
from mlx_whisper import transcribe
r = transcribe({str(FIXTURES / 'human_words.wav')!r}, path_or_hf_repo={str(BASE)!r}, word_timestamps=True)
print(json.dumps(r))
"""
    segments = program(lull, text)["segments"]
    words = [w for s in segments for w in s["words"]]
    assert [w["word"] for w in words] == [" Front,", " center,", " rear,", " left,", " side,", " right,", " front,", " right."]
    for a, b in zip(words, words[1:]):
        assert a["start"] <= a["end"] <= b["start"] + 1e-6
    assert all(0 <= w["probability"] <= 1 for w in words)
    # Where the sound is loud again after silence, by the energy of the recording.
    with wave.open(str(FIXTURES / "human_words.wav")) as w:
        samples = np.frombuffer(w.readframes(w.getnframes()), "<i2") / 32768
    loud = np.array([np.abs(samples[i : i + 800]).max() > 0.05 for i in range(0, len(samples), 800)])
    starts = [i * 0.05 for i in range(1, len(loud)) if loud[i] and not loud[max(0, i - 4) : i].any()]
    for start in starts:
        assert min(abs(w["start"] - start) for w in words) < 0.45


def test_translation_and_languages(lull):
    text = f"""
from mlx_whisper import load_model, transcribe
model = load_model({str(BASE)!r})
file = {str(FIXTURES / 'human_words.wav')!r}
out = [transcribe(file, model=model)['language'], transcribe(file, model=model, task='translate', language='German')['text'],
       transcribe(file, model=model, language='english')['text']]
print(json.dumps(out))
"""
    language, translated, english = program(lull, text)
    assert language == "en" and english == " Front, center, rear, left, side, right, front, right." and translated


@pytest.mark.parametrize(
    "call, message",
    [
        ("transcribe(x, path_or_hf_repo='nowhere')", "no Whisper model at 'nowhere'"),
        ("transcribe(x)", "which model?"),
        ("transcribe(x, model=m, beam=5)", "no option 'beam'"),
        ("transcribe(x, model=m, task='sing')", "task must be transcribe or translate"),
        ("transcribe(x, model=m, language='Klingon')", "unknown language 'Klingon'"),
        ("transcribe(x, model=m, clip_timestamps='a,b')", "clip_timestamps are seconds"),
        ("transcribe(x, model=m, clip_timestamps=[3, 1])", "must not fall"),
        ("transcribe(x, model=m, beam_size=0)", "beam_size must be an integer"),
        ("transcribe(x, model=m, temperature=0.0, suppress_tokens='x')", "suppress_tokens are ids"),
        ("transcribe(x, model=m, hallucination_silence_threshold=2.0)", "needs word_timestamps"),
        ("transcribe(mx.zeros((2, 9)), model=m)", "along one axis"),
        ("transcribe(mx.zeros((0,)), model=m)", "along one axis"),
        ("transcribe(mx.array([0.0, float('inf')]), model=m)", "no finite numbers"),
        ("m.embed_audio(mx.zeros((1, 100, 80)))", "expected 3000 frames"),
        ("m.detect_language(mx.zeros((3000, 80)))", "one language only"),
        ("m.decode(mx.zeros((3000, 80)), best_of=3)", "needs a temperature above 0"),
    ],
)
def test_wrong_arguments(lull, call, message):
    text = f"from mlx_whisper import *\nx = mx.zeros((16000,))\nm = load_model({str(TINY)!r})\n{call}"
    result = lull("-c", "import mlx.core as mx\n" + text)
    assert result.code == 1 and message in result.err, result.err


def test_silence_and_the_shortest_sounds(lull):
    text = f"""
from mlx_whisper import load_model, transcribe
m = load_model({str(TINY)!r})
out = [transcribe(mx.zeros((16000 * 35,)), model=m)['segments'], transcribe(mx.zeros((1,)), model=m)['text'],
       transcribe(mx.zeros((200,)), model=m)['text'], len(transcribe(1e-3 * mx.random.normal((3200,)), model=m)['segments'])]
print(json.dumps(out))
"""
    silence, one, few, noise = program(lull, text, timeout=120)
    assert [s for s in silence if s["text"].strip(" .!?")] == [] or all(s["no_speech_prob"] > 0.2 for s in silence)
    assert one == "" and few == "" and noise <= 1


def test_long_sounds_with_silence(lull):
    """Words, 20 seconds of silence, the words again: windows go on, and silence adds no text."""
    text = f"""
from mlx_whisper import load_model, transcribe
m = load_model({str(TINY)!r})
x = load_audio({str(FIXTURES / 'human_words.wav')!r})
y = mx.concatenate([x, mx.zeros((20 * 16000,)), x, mx.zeros((3 * 16000,))])
r = transcribe(y, model=m, word_timestamps=True, hallucination_silence_threshold=2.0, temperature=0.0)
plain = transcribe(y, model=m, temperature=0.0, initial_prompt='Words.', carry_initial_prompt=True)
print(json.dumps([r['segments'], plain['text']]))
"""
    segments, plain = program(lull, text, timeout=120)
    words = [w for s in segments for w in s["words"]]
    said = [w["word"].strip(" ,.").lower() for w in words]
    assert said.count("right") >= 3 and len(said) <= 24
    assert all(a["start"] <= b["start"] + 1e-6 for a, b in zip(words, words[1:]))
    assert plain.lower().count("right") >= 3


# --- Directories of models ---


def test_other_directories_hold_the_same_model(lull, tmp_path):
    """Hugging Face's and MLX's forms, written from CTranslate2's: the same tokens."""
    text = f"""
import os
from mlx.utils import tree_flatten
from mlx_whisper import load_model
from mlx_whisper.audio import *
from mlx_whisper.load_models import _HF_PARTS
m = load_model({str(TINY)!r})
d = m.dims
weights = dict(tree_flatten(m.parameters()))
os.mkdir('mlx'), os.mkdir('hf')
for folder in ('mlx', 'hf'):
    open(folder + '/tokenizer.json', 'wb').write(open({str(TINY / 'tokenizer.json')!r}, 'rb').read())
mx.save_safetensors('mlx/weights.safetensors', {{**weights, 'alignment_heads': m.alignment_heads}})
open('mlx/config.json', 'w').write(json.dumps({{**d.__dict__, 'model_type': 'whisper'}}))
names = {{v: k for k, v in _HF_PARTS.items()}}
hf = {{'model.encoder.embed_positions.weight': m.encoder._positional_embedding}}
for name, x in weights.items():
    parts = name.split('.')
    if parts[1] == 'blocks':
        new = f"model.{{parts[0]}}.layers.{{parts[2]}}.{{names['.'.join(parts[3:-1])]}}.{{parts[-1]}}"
    else:
        new = 'model.' + name.replace('ln_post', 'layer_norm').replace('decoder.ln.', 'decoder.layer_norm.')
        new = new.replace('token_embedding.weight', 'embed_tokens.weight').replace('positional_embedding', 'embed_positions.weight')
    hf[new] = mx.contiguous(x.transpose(0, 2, 1)) if '.conv' in name and x.ndim == 3 else x
mx.save_safetensors('hf/model.safetensors', hf)
open('hf/config.json', 'w').write(json.dumps({{
    'model_type': 'whisper', 'num_mel_bins': d.n_mels, 'max_source_positions': d.n_audio_ctx, 'd_model': d.n_audio_state,
    'encoder_attention_heads': d.n_audio_head, 'encoder_layers': d.n_audio_layer, 'vocab_size': d.n_vocab,
    'max_target_positions': d.n_text_ctx, 'decoder_attention_heads': d.n_text_head, 'decoder_layers': d.n_text_layer}}))
open('hf/generation_config.json', 'w').write(json.dumps({{'alignment_heads': m.alignment_heads.tolist()}}))
mel = log_mel_spectrogram(pad_or_trim(load_audio({str(FIXTURES / 'espeak_short.wav')!r})))
out = []
for model in (m, load_model('mlx'), load_model('hf')):
    out.append([model.decode(mel).tokens, model.alignment_heads.tolist(), str(model.decoder.blocks[0].mlp1.weight.dtype)])
print(json.dumps(out))
"""
    ct2, mlx, hf = program(lull, text, timeout=120)
    assert ct2 == mlx == hf and ct2[2] == "mlx.core.float16"


def test_damaged_models_are_named(lull, tmp_path):
    data = (TINY / "model.bin").read_bytes()[:200_000]
    cases = {"cut": data, "magic": b"\x09\0\0\0" + data[4:], "empty": b"", "text": b"hello " * 100}
    for name, content in cases.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.bin").write_bytes(content)
        result = lull("-c", f"from mlx_whisper import load_model\nload_model({name!r})")
        assert result.code == 1 and f"{name}/model.bin" in result.err, result.err
    (tmp_path / "bare").mkdir()
    result = lull("-c", "from mlx_whisper import load_model\nload_model('bare')")
    assert result.code == 1 and "bare: no model.bin" in result.err


def test_damaged_ctranslate2_files_are_errors(lull, tmp_path):
    """A small file of CTranslate2's form with bytes changed at random: variables, or an error that names it."""

    def text(value):
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    good = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, 4)
    for i in range(4):
        good += text(f"encoder/layer_{i}/x") + struct.pack("<BII", 2, 3, 5) + struct.pack("<BI", 4, 30) + bytes(30)
    good += struct.pack("<I", 1) + text("alias") + text("encoder/layer_0/x")
    rng = np.random.default_rng(1)
    for i in range(300):
        data = bytearray(good)
        for at in rng.integers(0, len(data), 1 + i % 4):
            data[at] = rng.integers(256)
        (tmp_path / f"{i}.bin").write_bytes(bytes(data[: rng.integers(0, len(data))] if i % 5 == 0 else data))
    (tmp_path / "good.bin").write_bytes(good)
    text = """
from lull import formats
spec, variables = formats.load_ctranslate2('good.bin')
assert spec == 'WhisperSpec' and len(variables) == 5 and variables['alias'].shape == (3, 5)
for i in range(300):
    try:
        formats.load_ctranslate2(f'{i}.bin')
    except ValueError as error:
        assert f'{i}.bin' in str(error), error
print(1)
"""
    assert program(lull, text) == 1


# --- The command line ---


def test_transcribe_prints_and_writes(lull, tmp_path):
    sounds = [FIXTURES / "espeak_short.wav", FIXTURES / "human_words.wav"]
    result = lull("transcribe", *sounds, "--model", TINY, "-f", "all", "-o", "out", "--word-timestamps")
    assert result.code == 0, result.err
    assert "Front, center, rear, left, side, right, front, right." in result.out and str(sounds[0]) in result.out
    assert len(re.findall(r"real-time factor \d+\.\d{3}, \d+ times real time", result.err)) == 2
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == sorted(f"{s.stem}.{e}" for s in sounds for e in ("txt", "srt", "vtt", "tsv", "json"))
    whole = json.loads((tmp_path / "out" / "human_words.json").read_text())
    assert whole["language"] == "en" and whole["segments"][0]["words"]
    assert (tmp_path / "out" / "human_words.txt").read_text() == "Front, center, rear, left, side, right, front, right.\n"
    srt = (tmp_path / "out" / "human_words.srt").read_text()
    assert re.fullmatch(r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\nFront, center, rear, left, side, right, front, right\.\n\n", srt)
    assert (tmp_path / "out" / "human_words.vtt").read_text().startswith("WEBVTT\n\n00:0")
    assert (tmp_path / "out" / "human_words.tsv").read_text().startswith("start\tend\ttext\n")


def test_transcribe_to_standard_output(lull):
    with open(FIXTURES / "human_words.wav", "rb") as f:
        done = subprocess.run(
            [LULL, "transcribe", "-", "--model", str(TINY), "-f", "vtt", "-o", "-", "--word-timestamps", "--max-words-per-line", "4"],
            stdin=f, capture_output=True, text=True, timeout=60,
        )
    assert done.returncode == 0, done.stderr
    blocks = done.stdout.strip().split("\n\n")
    assert blocks[0] == "WEBVTT" and [b.split("\n")[1] for b in blocks[1:]] == ["Front, center, rear, left,", "side, right, front, right."]


def test_subtitles_of_words(lull):
    words = [{"word": f" w{i}", "start": i * 0.5, "end": i * 0.5 + 0.4, "probability": 1.0} for i in range(6)]
    result = {"text": "", "language": "en", "segments": [{"start": 0, "end": 3, "text": " w0 w1 w2 w3 w4 w5", "words": words}]}
    text = f"""
from mlx_whisper.writers import written
r = {result!r}
print(json.dumps([written(r, 'srt', max_line_width=6, max_line_count=1), written(r, 'vtt', highlight_words=True)]))
"""
    srt, vtt = program(lull, text)
    assert [b.split("\n")[2] for b in srt.strip().split("\n\n")] == ["w0 w1", "w2 w3", "w4 w5"]
    assert "<u>w0</u> w1" in vtt and "<u>w5</u>" in vtt


def test_wrong_command_lines(lull, tmp_path):
    assert lull("transcribe").code == 2
    missing = lull("transcribe", FIXTURES / "human_words.wav")
    assert missing.code == 2 and "--model is missing" in missing.err
    (tmp_path / "bad.wav").write_bytes(b"nothing of a sound")
    result = lull("transcribe", "bad.wav", FIXTURES / "human_words.wav", "--model", TINY, "--no-verbose")
    assert result.code == 1 and "lull transcribe: bad.wav: no sound file" in result.err
    wrong = lull("transcribe", FIXTURES / "human_words.wav", "--model", TINY, "--beam-size", "many")
    assert wrong.code == 2 and "--beam-size needs an integer" in wrong.err
    wrong = lull("transcribe", FIXTURES / "human_words.wav", "--model", TINY, "-f", "doc")
    assert wrong.code == 1 and "unknown output format 'doc'" in wrong.err
    help = lull("transcribe", "--help").out
    assert help.startswith("usage: lull transcribe AUDIO [AUDIO ...] [options]") and "--word-timestamps" in help


def test_the_command_in_a_cell(lull, tmp_path):
    (tmp_path / "talk.wav").symlink_to(FIXTURES / "human_words.wav")
    (tmp_path / "tiny").symlink_to(TINY)
    (tmp_path / "cells.lull").write_text(
        "# %%\nresult = %transcribe talk.wav --model tiny --no-verbose --logprob-threshold None\n"
        "# %%\nresult\n# %%\n%transcribe talk.wav --no-verbose --word-timestamps\n"
        "# %%\n%transcribe talk.wav\n"
        "# %%\nprint(transcribe(load_audio('talk.wav'), verbose=False)['text'] == result['text'])\n"
    )
    done = lull("run", "cells.lull", "-o", "out.ipynb")
    assert done.code == 0, done.err
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    shown = ["".join(o.get("text") or o["data"]["text/plain"]) for c in cells if c["cell_type"] == "code" for o in c["outputs"]]
    assert re.match(r"\[00:00\.000 --> 00:0\d\.\d{3}\]  Front, center", shown[0])
    assert "Front, center" in shown[1]
    assert "Front, center" in shown[2] and re.fullmatch(r"5\.6 s of sound in \d+\.\d\d s: real-time factor .*", shown[3])
    assert shown[4] == "True\n"


def test_ctrl_c_keeps_what_there_is(lull, tmp_path):
    with wave.open(str(FIXTURES / "human_words.wav")) as w:
        samples = np.frombuffer(w.readframes(w.getnframes()), "<i2") / 32768
    write_wav(tmp_path / "long.wav", np.tile(samples, 120))
    process = subprocess.Popen(
        [LULL, "transcribe", "long.wav", "--model", str(TINY), "-f", "json", "-o", ".", "--temperature-increment-on-fallback", "None"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert "-->" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "Interrupted" in errors
    kept = json.loads((tmp_path / "long.json").read_text())
    assert kept["segments"] and "right" in kept["text"]


def test_the_lesson_runs(lull, tmp_path):
    result = lull("run", ROOT / "notebooks" / "whisper.ipynb", "-o", tmp_path / "out.ipynb", cwd=ROOT, timeout=120)
    assert result.code == 0, result.err
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    text = "".join("".join(o.get("text", "")) for c in cells for o in c.get("outputs", []))
    assert "Front" in text and "right" in text and "█" in text


def test_files_of_whisper_cpp(lull, tmp_path):
    """The file that benchmarks/whisper/to_ggml.py writes holds the same model and tokenizer; a cut one is named."""
    import sys

    subprocess.run([sys.executable, str(ROOT / "benchmarks" / "whisper" / "to_ggml.py"), str(TINY), str(tmp_path / "ggml.bin")], check=True)
    text = f"""
from mlx_whisper import load_model
from mlx_whisper.audio import *
mel = log_mel_spectrogram(pad_or_trim(load_audio({str(FIXTURES / 'espeak_short.wav')!r})))
models = load_model('ggml.bin'), load_model({str(TINY)!r})
text = " It's 1234 naïve cafés — Größe 你好 🎉  (♪♪) internationalization"
print(json.dumps([[m.decode(mel).tokens, m._tokenizer.encode(text, False), m._tokenizer.decode(m._tokenizer.encode(text, False))] for m in models]))
"""
    ours, reference = program(lull, text, timeout=120)
    assert ours == reference
    data = (tmp_path / "ggml.bin").read_bytes()
    for cut in (10, 5_000, 700_000, len(data) - 100):
        (tmp_path / "cut.bin").write_bytes(data[:cut])
        result = lull("-c", "from mlx_whisper import load_model\nload_model('cut.bin')")
        assert result.code == 1 and "cut.bin" in result.err and "Error" in result.err, result.err
    (tmp_path / "other.bin").write_bytes(b"no model")
    assert "is no file of whisper.cpp" in lull("-c", "from mlx_whisper import load_model\nload_model('other.bin')").err
