"""What only v1 has: the task in words."""

import sys

import pytest
import torch
from lerobot.policies.factory import make_pre_post_processors
from lerobot.utils.constants import OBS_LANGUAGE_ATTENTION_MASK, OBS_LANGUAGE_TOKENS
from support.policies import observations, random_batch, tiny_policy

from prana_ros.policies.prana_v1.modeling_prana_v1 import PranaV1Policy

TASKS = ["pick the tool", "open the box"]
READING = {"language_tokenizer": "a tokenizer", "language_vocabulary": 11, "language_max_length": 6}


def with_words(batch: dict, numbers: list[list[int]]) -> dict:
    """The batch with tasks of these token numbers, padded with number 0."""
    padded = [row + [0] * (6 - len(row)) for row in numbers]
    is_word = [[i < len(row) for i in range(6)] for row in numbers]
    return {**batch, OBS_LANGUAGE_TOKENS: torch.tensor(padded), OBS_LANGUAGE_ATTENTION_MASK: torch.tensor(is_word)}


@pytest.fixture
def tokenizer_folder(tmp_path):
    """A tokenizer of whole words, saved as Hugging Face's library does."""
    reason = "transformers is not installed, which v1 without language does not need: make test-lerobot-0.6 has it"
    transformers = pytest.importorskip("transformers", reason=reason)
    tokenizers = pytest.importorskip("tokenizers", reason=reason)
    words = sorted({word for task in TASKS for word in task.split()})
    numbers = {token: i for i, token in enumerate(["[PAD]", "[UNK]", *words])}
    words_only = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, unk_token="[UNK]"))
    words_only.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=words_only, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def test_without_a_tokenizer_there_is_no_table_and_no_words_are_asked_for():
    policy = tiny_policy("prana_v1")
    assert policy.network.language is None
    assert not any("language" in name for name in policy.state_dict())
    assert policy.predict_action_chunk(observations()).shape == (2, 8, 6)


def test_what_the_task_says_changes_the_chunk_and_its_padding_does_not():
    policy = tiny_policy("prana_v1", **READING)
    assert policy.network.language.table.weight.shape == (11, 16)
    batch = {key: value[:1].expand(3, *value.shape[1:]) for key, value in observations().items()}
    words = with_words(batch, [[3, 4], [3, 5], [3, 4]])
    chunks = policy.predict_action_chunk(words)
    assert not torch.allclose(chunks[0], chunks[1], atol=1e-4)
    words[OBS_LANGUAGE_TOKENS][2, 2:] = 9
    torch.testing.assert_close(policy.predict_action_chunk(words)[2], chunks[0], atol=1e-6, rtol=0)


def test_the_order_of_the_words_matters():
    policy = tiny_policy("prana_v1", **READING)
    batch = {key: value[:1].expand(2, *value.shape[1:]) for key, value in observations().items()}
    first, second = policy.predict_action_chunk(with_words(batch, [[3, 4], [4, 3]]))
    assert not torch.allclose(first, second, atol=1e-4)


def test_missing_words_are_refused_by_name():
    with pytest.raises(ValueError, match=r"prana_v1: the input observation.language.tokens is missing"):
        tiny_policy("prana_v1", **READING).predict_action_chunk(observations())


def test_the_table_learns_the_words_that_it_saw():
    policy = tiny_policy("prana_v1", **READING)
    loss, _ = policy.train()(with_words(random_batch(2), [[3, 4], [5]]))
    loss.backward()
    learned = policy.network.language.table.weight.grad.abs().sum(1) > 0
    assert learned.nonzero().flatten().tolist() == [3, 4, 5]


def test_without_the_transformers_library_a_tokenizer_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        ImportError, match=r"language_tokenizer 'words' needs the transformers library.*transformers-dep"
    ):
        tiny_policy("prana_v1", language_tokenizer="words")


@pytest.mark.parametrize(
    "changes", [{"language_max_length": 0}, {"language_vocabulary": -1}, {"num_encoder_layers": 0}]
)
def test_a_bad_option_is_refused_by_name(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        tiny_policy("prana_v1", **changes)


def test_a_checkpoint_reads_tasks_offline_with_its_tokenizers_folder(tokenizer_folder, tmp_path):
    policy = tiny_policy("prana_v1", language_tokenizer=str(tokenizer_folder), language_max_length=6)
    assert policy.config.language_vocabulary == 7
    assert policy.network.language.table.num_embeddings == 7
    statistics = {key: {"mean": torch.zeros(6), "std": torch.ones(6)} for key in ("observation.state", "action")}
    processors = make_pre_post_processors(policy.config, dataset_stats=statistics)
    policy.save_pretrained(tmp_path / "checkpoint")
    for processor in processors:
        processor.save_pretrained(tmp_path / "checkpoint")

    loaded = PranaV1Policy.from_pretrained(tmp_path / "checkpoint", strict=True)
    preprocessor, _ = make_pre_post_processors(loaded.config, pretrained_path=str(tmp_path / "checkpoint"))
    batch = {**observations(), "task": TASKS}
    ready = preprocessor(batch)
    assert ready[OBS_LANGUAGE_ATTENTION_MASK].tolist() == [[True] * 3 + [False] * 3] * 2
    torch.testing.assert_close(loaded.predict_action_chunk(ready), policy.predict_action_chunk(processors[0](batch)))
    other = preprocessor({**batch, "task": TASKS[::-1]})
    assert not torch.allclose(loaded.predict_action_chunk(other), loaded.predict_action_chunk(ready), atol=1e-4)


def test_a_tokenizer_that_is_not_there_or_cannot_pad_is_refused(tokenizer_folder, tmp_path):
    import transformers

    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"language_tokenizer '.*empty' cannot be had \(.*allowed: a folder"):
        tiny_policy("prana_v1", language_tokenizer=str(tmp_path / "empty"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path / "unpadded")
    with pytest.raises(ValueError, match="has no padding token"):
        tiny_policy("prana_v1", language_tokenizer=str(tmp_path / "unpadded"))
