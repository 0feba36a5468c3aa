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

from .activations import Output, layer_count, record_activations, recorded_modules
from .adapt import Adapted, adapt
from .adapters import Adapter, FullFineTuning, Ia3Adapter, LoraAdapter, PrefixAdapter, PromptAdapter
from .alignment import Alignment, Distance, distance_per_example
from .attach import attach, detach, save_adapter
from .config import TrainingConfig
from .examples import TrainingExample, in_demonstration_orders
from .losses import (
    AlignmentLoss,
    CrossEntropyLoss,
    JointLoss,
    Loss,
    SoftLabelLoss,
    cross_entropy,
    soft_label_divergence,
)
from .methods import METHODS, Method
from .phases import Phase, PhaseData
from .progress import Check
from .response import AnswerEnd
from .target_cache import TargetCache
from .targets import StoredTensor, Targets, TeacherTargets, collect_targets
from .together import Job, TrainedLora, adapt_together
from .train import PhaseHistory

__all__ = [
    "METHODS",
    "Adapted",
    "Adapter",
    "Alignment",
    "AlignmentLoss",
    "AnswerEnd",
    "Check",
    "CrossEntropyLoss",
    "Distance",
    "FullFineTuning",
    "Ia3Adapter",
    "Job",
    "JointLoss",
    "LoraAdapter",
    "Loss",
    "Method",
    "Output",
    "Phase",
    "PhaseData",
    "PhaseHistory",
    "PrefixAdapter",
    "PromptAdapter",
    "SoftLabelLoss",
    "StoredTensor",
    "TargetCache",
    "Targets",
    "TeacherTargets",
    "TrainedLora",
    "TrainingConfig",
    "TrainingExample",
    "adapt",
    "adapt_together",
    "attach",
    "collect_targets",
    "cross_entropy",
    "detach",
    "distance_per_example",
    "in_demonstration_orders",
    "layer_count",
    "record_activations",
    "recorded_modules",
    "save_adapter",
    "soft_label_divergence",
]
