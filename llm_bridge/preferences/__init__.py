"""Preference models that are antisymmetric by construction: encoders, models, fitting, quality."""

from llm_bridge.preferences.encoder import TextEncoder, load_encoder
from llm_bridge.preferences.files import judge_in, load_model, save_model
from llm_bridge.preferences.fitting import Record, Training, calibrate, train_preference_model
from llm_bridge.preferences.models import MODELS, BradleyTerry, CrossEncoder, ModelJudge, PreferenceModel, SkewEmbedding
from llm_bridge.preferences.reliability import Quality, quality

__all__ = [
    "MODELS",
    "BradleyTerry",
    "CrossEncoder",
    "ModelJudge",
    "PreferenceModel",
    "Quality",
    "Record",
    "SkewEmbedding",
    "TextEncoder",
    "Training",
    "calibrate",
    "judge_in",
    "load_encoder",
    "load_model",
    "quality",
    "save_model",
    "train_preference_model",
]
