"""The training loop: batches, loss, clipping, AdamW, evaluation, checkpoints, the time budget."""

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import needle as ndl

from ..errors import CourseError
from . import data, plot
from .checkpoint import PICTURE, Checkpoint, Progress
from .display import Display, Status
from .evaluate import HeldOut
from .interrupt import Interrupt
from .optimizer_state import flatten, unflatten
from .options import END_OF_TEXT, TrainOptions
from .schedule import Budget, evaluation_interval, learning_rate

SECONDS_BETWEEN_CHECKPOINTS = 60.0
BETAS = (0.9, 0.95)
EPSILON = 1e-8
PICTURE_SECONDS = 2.0  # for the final checkpoint and its picture, matplotlib's import included


@dataclass(frozen=True)
class Result:
    """What a run has come to."""

    bits_per_byte: float
    train_seconds: float
    tokens_per_second: float
    steps: int


class Interrupted(Exception):
    """The run was stopped by a signal. `saved` is the step that the checkpoint holds, if any."""

    def __init__(self, saved: int | None) -> None:
        super().__init__()
        self.saved = saved


class Trainer:
    """One run, new or resumed. The clock starts when the object is made."""

    def __init__(self, folder: Path, text: bytes, display: Display, interrupt: Interrupt) -> None:
        self._began = time.monotonic()
        self._folder = folder
        self._display = display
        self._interrupt = interrupt
        self._train_text, self._held_out_text = data.split(text)
        self._digest = data.digest(text)
        if not data.is_utf8(text):
            display.say("The text is not UTF-8: it is read as plain bytes.")

    def start(self, options: TrainOptions, text_path: Path) -> Result:
        """A new run."""
        options = _settle_threads(options)
        self._display.say(f"Training a tokenizer of {options.vocab_size} tokens")
        tokenizer = ndl.text.Tokenizer.train(self._train_text, vocab_size=options.vocab_size)
        if self._interrupt.requested:
            raise Interrupted(None)
        ndl.manual_seed(options.seed)
        model = ndl.transformer.Decoder(_config(options, tokenizer))
        progress = Progress(text=str(text_path.resolve()), text_sha256=self._digest)
        if options.steps is not None:
            progress.total_steps = options.steps
            progress.evaluate_every = evaluation_interval(options.steps)
        return self._run(Checkpoint(options, progress, model, tokenizer, {}, []))

    def resume(self, checkpoint: Checkpoint) -> Result:
        """Goes on from a checkpoint, with the same numbers as if it had never stopped."""
        if checkpoint.progress.text_sha256 != self._digest:
            raise CourseError(
                "This is not the text that the run began with: "
                f"{checkpoint.progress.text} had another content."
            )
        _settle_threads(checkpoint.options)
        return self._run(checkpoint)

    def _run(self, checkpoint: Checkpoint) -> Result:
        self._state = checkpoint
        self._options = options = checkpoint.options
        self._progress = progress = checkpoint.progress
        self._model = checkpoint.model
        self._seconds_before = progress.seconds
        self._parameters = list(self._model.parameters())
        self._optimizer = ndl.optim.AdamW(
            self._parameters,
            lr=options.lr,
            betas=BETAS,
            eps=EPSILON,
            weight_decay=options.weight_decay,
        )
        if checkpoint.optimizer_arrays:
            state = unflatten(checkpoint.optimizer_arrays, progress.optimizer)
            self._optimizer.load_state_dict(state)
        tokenizer = checkpoint.tokenizer
        tokens = tokenizer.encode_array(self._train_text)
        self._batches = data.Batches(tokens, options.seq, options.batch, options.seed)
        separator = tokenizer.special_id(END_OF_TEXT)
        self._held_out = HeldOut.of(self._held_out_text, tokenizer, separator)
        self._bits: float | None = None
        self._budget = Budget(60 * options.minutes) if options.minutes else None
        self._describe(len(tokens))
        self._saved_at = time.monotonic()
        if progress.step == 0 and not checkpoint.log:
            checkpoint.log.append(["0", "", "", "", ""])
            # The first pass of a process is slower than all others: not the one to be timed.
            self._held_out.warm_up(self._model, options.seq, options.batch)
            self._evaluate()
        elif self._budget:
            self._set_evaluation_time(self._budget, progress.evaluation_seconds)
        while not self._ended():
            self._step()
            self._stop_if_asked()
        return self._finish()

    # --- one step ---

    def _step(self) -> None:
        progress, options = self._progress, self._options
        began = time.monotonic()
        inputs, targets = self._batches.at(progress.step)
        rate = learning_rate(progress.step, progress.total_steps, options.lr, options.warmup)
        logits = self._model(ndl.from_numpy(inputs))
        flat = logits.reshape((targets.size, logits.shape[-1]))
        loss = ndl.cross_entropy(flat, ndl.from_numpy(targets.reshape(-1)))
        value = float(loss.item())
        if not math.isfinite(value):
            raise CourseError(
                f"The loss became {value} at step {progress.step + 1}: try a smaller --lr. "
                "The last checkpoint is as it was.",
                status=1,
            )
        loss.backward()
        ndl.nn.utils.clip_grad_norm_(self._parameters, options.clip)
        self._optimizer.lr = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        progress.step += 1
        seconds = time.monotonic() - began
        progress.step_seconds += seconds
        row = [str(progress.step), repr(value), repr(rate), "", f"{self._elapsed():.2f}"]
        self._state.log.append(row)
        if self._budget:
            self._budget.observe_step(seconds)
            self._plan(self._budget)
        self._report(value)
        if progress.evaluate_every and progress.step % progress.evaluate_every == 0:
            self._evaluate()
        if time.monotonic() - self._saved_at > SECONDS_BETWEEN_CHECKPOINTS:
            self._save()

    def _plan(self, budget: Budget) -> None:
        progress = self._progress
        total = progress.total_steps
        if total is None:
            due = budget.knows_enough()
        else:
            now = (progress.step, total, self._elapsed())
            due = progress.step < total and (budget.too_slow(*now) or budget.too_fast(*now))
        if not due:
            return
        new = budget.plan(progress.step, self._elapsed())
        if total is None:
            progress.evaluate_every = evaluation_interval(new)
            self._display.say(f"Planned: {new} steps of {1000 * budget.step_seconds:.0f} ms")
        elif new != total:
            how = "slower" if new < total else "faster"
            self._display.say(f"Steps have become {how}: {new} instead of {total} planned")
            progress.evaluate_every = max(progress.evaluate_every or 1, evaluation_interval(new))
        else:
            return
        progress.total_steps = new
        progress.plans.append([progress.step, new])

    def _ended(self) -> bool:
        progress = self._progress
        if progress.total_steps is not None and progress.step >= progress.total_steps:
            return True
        if self._budget is None or progress.step == 0:
            return False
        if self._budget.exhausted(self._elapsed()):
            progress.total_steps = progress.step
            progress.plans.append([progress.step, progress.step])
            return True
        return False

    def _stop_if_asked(self) -> None:
        if self._interrupt.requested:
            self._save()
            raise Interrupted(self._progress.step)

    # --- evaluation, checkpoints, the end ---

    def _evaluate(self) -> None:
        began = time.monotonic()
        options = self._options
        self._bits = self._held_out.bits_per_byte(
            self._model, options.seq, options.batch, whole=False
        )
        self._state.log[-1][3] = repr(self._bits)
        seconds = time.monotonic() - began
        self._progress.evaluation_seconds = seconds
        if self._budget:
            self._set_evaluation_time(self._budget, seconds)

    def _set_evaluation_time(self, budget: Budget, seconds: float) -> None:
        budget.evaluation_seconds = seconds
        budget.closing_seconds = 1.1 * seconds / self._held_out.slice_share + PICTURE_SECONDS
        if self._progress.step == 0 and self._elapsed() + budget.closing_seconds > budget.seconds:
            need = (self._elapsed() + budget.closing_seconds) * 1.5 / 60
            raise CourseError(
                f"--minutes {budget.seconds / 60:g} is too short for this text and model: reading "
                f"the text and the final evaluation alone need more. Try {need:.1f}."
            )

    def _finish(self) -> Result:
        options, progress = self._options, self._progress
        self._display.say("Evaluating on the whole held-out text")
        bits = self._held_out.bits_per_byte(self._model, options.seq, options.batch, whole=True)
        self._stop_if_asked()
        picture = self._folder.resolve().parent / f".{self._folder.name}.{PICTURE}"
        picture.parent.mkdir(parents=True, exist_ok=True)
        speed = progress.step * options.tokens_per_step / max(progress.step_seconds, 1e-9)
        try:
            plot.draw(self._state.log, picture, f"{bits:.3f} held-out bits per byte")
            progress.result = {
                "bits_per_byte": bits,
                "train_seconds": self._elapsed(),
                "tokens_per_second": speed,
            }
            self._save(picture)
        finally:
            picture.unlink(missing_ok=True)
        return Result(bits, progress.result["train_seconds"], speed, progress.step)

    def _save(self, picture: Path | None = None) -> None:
        progress = self._progress
        arrays, progress.optimizer = flatten(self._optimizer.state_dict())
        self._state.optimizer_arrays = arrays
        progress.seconds = self._elapsed()
        self._state.save(self._folder, picture)
        self._saved_at = time.monotonic()

    # --- time and what is shown ---

    def _elapsed(self) -> float:
        return self._seconds_before + time.monotonic() - self._began

    def _report(self, loss: float) -> None:
        progress = self._progress
        total, left = progress.total_steps, None
        per_step = progress.step_seconds / progress.step
        if total is not None:
            if self._budget:
                left = self._budget.projection(progress.step, total, self._elapsed())
                left = max(0.0, left - self._elapsed())
            else:
                left = (total - progress.step) * per_step
        speed = self._options.tokens_per_step / per_step
        self._display.update(Status(progress.step, total, loss, self._bits, speed, left))

    def _describe(self, tokens: int) -> None:
        parameters = sum(math.prod(parameter.shape) for parameter in self._parameters)
        size = len(self._train_text)
        self._display.say(
            f"{size:,} bytes to train on ({tokens:,} tokens), {self._held_out.size:,} held out; "
            f"a decoder of {parameters:,} parameters"
        )


def _settle_threads(options: TrainOptions) -> TrainOptions:
    """Options that name the number of threads in use: a resumed run must have the same."""
    if options.threads:
        ndl.set_num_threads(options.threads)
    return dataclasses.replace(options, threads=ndl.get_num_threads())


def _config(options: TrainOptions, tokenizer: Any) -> Any:
    end = tokenizer.special_id(END_OF_TEXT)
    return ndl.transformer.Config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=options.hidden_size,
        intermediate_size=options.intermediate_size,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.kv_heads,
        max_position_embeddings=options.seq,
        rope_theta=10000.0,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        eos_token_ids=[end],
    )
