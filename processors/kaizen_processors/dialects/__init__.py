"""Model calls in other libraries' spans: the dialects gen_ai, OpenInference and OpenLLMetry, read into one record."""

from kaizen_processors.dialects.foreign_calls import NOBODY, Attribution, ForeignCalls
from kaizen_processors.dialects.model_call import ModelCall
from kaizen_processors.dialects.reading import read_model_call

__all__ = ["NOBODY", "Attribution", "ForeignCalls", "ModelCall", "read_model_call"]
