"""What LLaMA-Factory itself makes of an exported folder, as JSON; run in it by the tests.

python llamafactory_reader.py TOKENIZER RECIPE...
"""

from __future__ import annotations

import json
import os
import sys
import types

os.environ["DISABLE_VERSION_CHECK"] = "1"
os.environ["LLAMAFACTORY_VERBOSITY"] = "ERROR"

# LLaMA-Factory imports torchaudio wherever it reads data. Text has no sound, and the package brings
# libraries of CUDA: an empty module stands in, once transformers has seen that there is none.
import transformers.audio_utils

sys.modules["torchaudio"] = types.ModuleType("torchaudio")

STAGES = {"sft": "sft", "dpo": "rm"}
"""Of a recipe, and what LLaMA-Factory's own workflow of it names the data."""


def read(recipe: str, tokenizer_folder: str) -> dict[str, object]:
    """The arguments parsed, the rows converted, and the texts of the tokens and of the labels."""
    from llamafactory import data as lf
    from llamafactory.data.loader import (
        _get_merged_dataset,
    )
    from llamafactory.hparams import (
        get_train_args,
    )
    from omegaconf import OmegaConf

    given = OmegaConf.to_container(OmegaConf.load(recipe))
    here = {"model_name_or_path": tokenizer_folder, "bf16": False, "use_cpu": True}
    model, data, training, finetuning, _ = get_train_args({**given, **here})
    stage = STAGES[finetuning.stage]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    template = lf.get_template_and_fix_tokenizer(tokenizer, data)
    rows = _get_merged_dataset(data.dataset, model, data, training, stage)
    ready = lf.get_dataset(template, model, data, training, stage=stage, tokenizer=tokenizer)
    return {
        "model": given["model_name_or_path"],
        "learning_rate": training.learning_rate,
        "seed": training.seed,
        "cutoff_len": data.cutoff_len,
        "lora_rank": finetuning.lora_rank,
        "pref_beta": finetuning.pref_beta,
        "rows": [{name: row[name] for name in ("_prompt", "_response", "_system")} for row in rows],
        "tokens": [texts(row, tokenizer) for row in ready["train_dataset"]],
        "validation": len(ready.get("eval_dataset") or ()),
    }


def texts(row: dict[str, list[int]], tokenizer: transformers.PreTrainedTokenizerFast) -> list[str]:
    """Each text that is seen, and of it the part that is learnt."""
    found = []
    for kind in ("", "chosen_", "rejected_"):
        if f"{kind}input_ids" in row:
            learnt = [token for token in row[f"{kind}labels"] if token >= 0]
            found += [tokenizer.decode(row[f"{kind}input_ids"]), tokenizer.decode(learnt)]
    return found


if __name__ == "__main__":
    found = [read(recipe, sys.argv[1]) for recipe in sys.argv[2:]]
    sys.stdout.write("\n" + json.dumps(found) + "\n")
