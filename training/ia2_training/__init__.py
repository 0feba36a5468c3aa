"""Adapting language models to a few examples: fine-tuning (SFT), alignment with in-context activations (IA2, arXiv
2509.22621), and the one after the other. Knows prompts, answers and demonstrations; knows no benchmark.

    from transformers import AutoModelForCausalLM, AutoTokenizer
    from ia2_training import TrainingConfig, TrainingExample, adapt

    model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen3-0.6B-Base", dtype="bfloat16")
    tokenizer = AutoTokenizer.from_pretrained("Qwen/Qwen3-0.6B-Base")
    pairs = [("Text:a joy\\nLabel:", "1"), ("Text:a bore\\nLabel:", "0"), ("Text:superb\\nLabel:", "1")]
    texts = [prompt + answer for prompt, answer in pairs]
    train = [TrainingExample(*pair, (*texts[:i], *texts[i + 1 :])) for i, pair in enumerate(pairs)]
    adapted = adapt(model, tokenizer, train, method="ia2_sft", config=TrainingConfig.strict(learning_rate=1e-3))
    adapted.save("adapter")
"""

from .activations import record_attention_outputs, self_attention_modules
from .adapt import Adapted, adapt
from .adapters import Adapter, LoraAdapter, attach, detach
from .config import TrainingConfig
from .examples import TrainingExample
from .losses import AlignmentLoss, CrossEntropyLoss, Loss, alignment, cross_entropy
from .methods import METHODS
from .progress import Check
from .targets import AnswerEnd, Targets, TeacherTargets, collect_targets
from .train import PhaseHistory

__all__ = [
    "METHODS",
    "Adapted",
    "Adapter",
    "AlignmentLoss",
    "AnswerEnd",
    "Check",
    "CrossEntropyLoss",
    "LoraAdapter",
    "Loss",
    "PhaseHistory",
    "Targets",
    "TeacherTargets",
    "TrainingConfig",
    "TrainingExample",
    "adapt",
    "alignment",
    "attach",
    "collect_targets",
    "cross_entropy",
    "detach",
    "record_attention_outputs",
    "self_attention_modules",
]
