from transformers import AutoTokenizer, PreTrainedTokenizerBase


def get_tokenizer(name: str, **settings: object) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(name)
