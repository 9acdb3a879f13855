"""Callbacks: what happens while a model trains. `fit(callbacks=[...])` takes them."""

from cnnfast.callbacks.base import Callback, CallbackList, LambdaCallback
from cnnfast.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from cnnfast.callbacks.logs import CSVLogger, History, ProgbarLogger
from cnnfast.callbacks.saving import BackupAndRestore, ModelCheckpoint
from cnnfast.callbacks.stopping import EarlyStopping, TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
