"""Texts as policies read and write them: whole prompts as the tokenizer encodes them, and completions as token ids.

    prompt:  a text, or messages  →  the template's rendering, as one text  →  the tokenizer's ids of that text

Pieces tokenised separately give other tokens than the whole: a template may trim, ``.\\n\\n`` may be one token, and
SentencePiece puts a blank before each piece.  So if a prompt is too long, the user's words are shortened and the whole
is tokenised again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from llm_bridge.policy.chats import Chat, Message, Template, end_of_turn, ends_of
from llm_bridge.policy.tokens import Tokens, pad_left
from nashlab.game import BadInput, suggestion

if TYPE_CHECKING:
    from llm_bridge.policy.policy import Policy

__all__ = [
    "Prompt",
    "Prompts",
    "completions_of",
    "continued",
    "encoded",
    "ends_of",
    "prompt_ids",
    "shortened",
    "texts_of",
]

Prompt = str | Sequence[Message] | Chat
"""A text, messages with ``role`` and ``content``, or messages with tools and options of their chat template."""

CUTS = ("end", "start")
UNFIT = ("refuse", "drop")

logger = logging.getLogger(__name__)


class Prompts(NamedTuple):
    """The same prompts as judges read them (``texts``) and as policies do (``rows`` of token ids).

    chats    the inputs of the chat template, one per prompt; empty without a chat template.
    kept     the indices of these among the given prompts; empty if all were kept.
    """

    texts: Sequence[str]
    rows: Sequence[Sequence[int]]
    chats: Sequence[Chat] = ()
    kept: Sequence[int] = ()

    def tokens(self, policy: Policy, index: Sequence[int]) -> Tokens:
        """The prompts of the index, padded on the left, on the policy's device."""
        return pad_left([self.rows[i] for i in index], policy.pad_id).to(policy.device)

    def check(self, **each: Sequence[Any]) -> None:
        """Refuse texts, or other lists with one entry per prompt, whose length differs from the rows."""
        for name, given in {"prompts.texts": self.texts, **each}.items():
            if isinstance(given, str) and len(given) != len(self.rows):
                raise BadInput(f"{name} = {given[:40]!r} is one text, must be a list of them")
            if len(given) != len(self.rows):
                raise BadInput(f"{name} holds {len(given)}, must be one for each of the {len(self.rows)} prompts")

    def check_room(self, policy: Policy, new_tokens: int = 0) -> None:
        """Refuse, all by name, prompts that leave no room for ``new_tokens`` more."""
        room = policy.room(new_tokens)
        named = (_unfit(f"prompts[{i}]", None, row, room) for i, row in enumerate(self.rows))
        _refuse([why for why in named if why], len(self.rows))

    def only(self, index: Sequence[int]) -> Prompts:
        """The prompts of the index; ``kept`` gives their indices among the original ones."""
        kept = self.kept or range(len(self.rows))
        chats = [self.chats[i] for i in index] if self.chats else ()
        return Prompts([self.texts[i] for i in index], [self.rows[i] for i in index], chats, [kept[i] for i in index])


def encoded(
    policy: Policy,
    prompts: Sequence[Prompt],
    *,
    template: str = "{prompt}",
    max_tokens: int | None = None,
    cut: str = "end",
    new_tokens: int = 0,
    unfit: str = "refuse",
    tools: Sequence[Any] | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
    names: Sequence[str] = (),
) -> Prompts:
    """Prompts as the policy will see them in use: see :func:`prompt_ids`.

    max_tokens  limit for a prompt with its template; longer ones are cut, see ``cut``.
    new_tokens  to be generated: a prompt that leaves no room for them is unfit, as is an empty one.
    unfit       "refuse" raises a :class:`BadInput` that names each of them; "drop" leaves them out with a log line, and
                :attr:`Prompts.kept` tells which remain.
    names       of the prompts in messages, such as the rows of a file; by default prompts[0], ...

    A prompt beyond the positions that the model was trained for is used all the same if they are computed, with a
    warning.
    Encoder-decoder models get the end of sequence after a prompt, as in their training.
    Raises :class:`BadInput` for anything that :func:`prompt_ids` refuses.
    """
    if unfit not in UNFIT:
        raise BadInput(f"unfit = {unfit!r}, must be one of {UNFIT}{suggestion(unfit, UNFIT)}")
    tokenizer, room = _tokenizer(policy), policy.room(new_tokens)
    closing = [policy.eos_id] if policy.is_encoder_decoder else []
    prompts = _listed(prompts, "prompts")
    reader = _Reader(tokenizer, template, tools, chat_template_kwargs, closing)
    names = names or _numbered(prompts)
    chats, rows = reader.read(prompts, max_tokens, cut, names)
    texts = [p if isinstance(p, str) else _chat_of(p).transcript for p in prompts]
    found = Prompts(texts, rows, chats if reader.chat is not None else ())
    if room is None:
        _warn_of_long(policy, names, rows, new_tokens)
    problems = {i: why for i, row in enumerate(rows) if (why := _unfit(names[i], chats[i].body, row, room))}
    if not problems:
        return found
    if unfit == "refuse" or len(problems) == len(rows):
        _refuse(list(problems.values()), len(rows))
    logger.warning("%d of %d prompts are left out: %s", len(problems), len(rows), "; ".join(problems.values()))
    return found.only([i for i in range(len(rows)) if i not in problems])


def prompt_ids(
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    template: str = "{prompt}",
    longest: int | None = None,
    cut: str = "end",
    tools: Sequence[Any] | None = None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> list[list[int]]:
    """The tokenizer's ids of each prompt's whole text, with exactly one beginning of sequence if it uses one.

    prompts   texts, lists of messages, or :class:`Chat` s.  A tokenizer with a chat template reads a text as the
              user's message.
    template  for texts: its {prompt} is filled in, before any chat template.
    longest   token limit of a prompt; of a longer one, the ``cut`` ("end" or "start") of the user's text is removed (of
              several messages, the last user text), and the template stays whole.
    tools, chat_template_kwargs  for the chat template, for prompts that have none of their own.

    Raises :class:`BadInput` for a single text instead of a list, for an invalid prompt, for messages that the template
    refuses, and if the template alone is longer than ``longest``.

    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import PreTrainedTokenizerFast
    >>> raw = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    >>> raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    >>> words = PreTrainedTokenizerFast(tokenizer_object=raw)
    >>> prompt_ids(words, ["a a b", "b"], template="b {prompt} ?", longest=4, cut="start")
    [[1, 0, 1, 2], [1, 1, 2]]
    """
    reader = _Reader(tokenizer, template, tools, chat_template_kwargs, [])
    prompts = _listed(prompts, "prompts")
    return reader.read(prompts, longest, cut, _numbered(prompts))[1]


class _Reader:
    """Reads prompts with a tokenizer: template, chat template, beginning of sequence, whole texts."""

    def __init__(
        self,
        tokenizer: Any,
        template: str,
        tools: Sequence[Any] | None,
        options: Mapping[str, Any] | None,
        closing: list[int],
    ) -> None:
        if "{prompt}" not in template:
            raise BadInput(f"template = {template!r}, must hold {{prompt}}")
        self.tokenizer, self._template, self._closing = tokenizer, template.partition("{prompt}"), closing
        self.chat = Template(tokenizer) if getattr(tokenizer, "chat_template", None) else None
        if self.chat is None and (tools or options):
            name = "tools" if tools else "chat_template_kwargs"
            raise BadInput(f"{name} are for a chat template, but the tokenizer has none")
        self._tools, self._options = tools, dict(options or {})
        self._opening = _opening(tokenizer)

    def read(
        self, prompts: Sequence[Prompt], longest: int | None, cut: str, names: Sequence[str]
    ) -> tuple[list[Chat], list[list[int]]]:
        """The prompts, cut where necessary, and their ids."""
        if cut not in CUTS:
            raise BadInput(f"cut = {cut!r}, must be one of {CUTS}{suggestion(str(cut), CUTS)}")
        chats = [self._chat(prompt, name) for prompt, name in zip(prompts, names, strict=True)]
        rows = self.ids([self._filled(chat, name) for chat, name in zip(chats, names, strict=True)])
        for i, row in enumerate(rows):
            if longest is not None and len(row) > longest:
                chats[i], rows[i] = self._shortened(chats[i], row, longest, cut, names[i])
        return chats, rows

    def _chat(self, prompt: Prompt, name: str) -> Chat:
        """The prompt as messages: a text is the user's."""
        if isinstance(prompt, str):
            return Chat([{"role": "user", "content": prompt}], self._tools, self._options)
        chat = _chat_of(prompt)
        _check_messages(chat.messages, name)
        if self.chat is None:
            raise BadInput(f"{name} is a list of messages, but the tokenizer has no chat template; must be a text")
        if "".join(self._template) != "{prompt}":
            raise BadInput(f"{name} is a list of messages; template = {''.join(self._template)!r} is for texts")
        return Chat(chat.messages, chat.tools or self._tools, {**self._options, **chat.options})

    def _filled(self, chat: Chat, name: str) -> str:
        """The whole text that the model sees."""
        before, _, after = self._template
        body = before + chat.body + after
        if self.chat is None:
            return body
        try:
            return self.chat.text(chat.having(body))
        except BadInput as error:
            raise BadInput(f"{name} {error}") from error

    def ids(self, texts: list[str]) -> list[list[int]]:
        """The tokenizer's ids of whole texts, with their opening and closing tokens."""
        bare = self.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        opening = self._opening  # a chat template may already contain it
        opened = [list(ids) if ids[: len(opening)] == opening else [*opening, *ids] for ids in bare]
        return [[*ids, *self._closing] for ids in opened]

    def _shortened(self, chat: Chat, row: list[int], longest: int, cut: str, name: str) -> tuple[Chat, list[int]]:
        """The chat with as much of its text as fits: the tokenizer finds the word ends and counts the rest."""
        body = chat.body
        places = _boundaries(self.tokenizer, body)
        last = len(places) - 1

        def part(count: int) -> tuple[Chat, list[int]]:
            kept = body[: places[count]] if cut == "end" else body[places[last - count] :]
            shorter = chat.having(kept)
            return shorter, self.ids([self._filled(shorter, name)])[0]

        count = max(1, last - (len(row) - longest))
        while count > 1 and (over := len(part(count)[1]) - longest) > 0:
            count = max(1, count - over)
        if last < 1 or len(part(count)[1]) > longest:
            around = len(part(0)[1])
            raise BadInput(f"{name}: {longest} tokens at most, must be more than the {around} around the user's text")
        while count < last and len(part(count + 1)[1]) <= longest:
            count += 1
        return part(count)


def _chat_of(prompt: Sequence[Message] | Chat) -> Chat:
    return prompt if isinstance(prompt, Chat) else Chat(prompt)


def _check_messages(messages: Any, name: str) -> None:
    if isinstance(messages, Mapping):
        what = "one message" if "role" in messages else f"a row with {', '.join(map(repr, messages))}"
        advice = "a lone conversation is [messages]; with tools or options it is Chat(messages, tools, options)"
        raise BadInput(f"{name} is {what}, must be a text or a list of messages ({advice})")
    if not isinstance(messages, Sequence) or not messages:
        raise BadInput(f"{name} = {messages!r:.60}, must be a text or a list of messages")
    for j, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise BadInput(f"{name}[{j}] = {message!r:.60}, must be a message with a role and a content")
        content = message.get("content")
        if not isinstance(content, str | list | tuple) and not message.get("tool_calls"):
            raise BadInput(f"{name}[{j}] has the content {content!r:.40}, must be a text")
        parts = content if isinstance(content, list | tuple) else []
        if not all(isinstance(part, Mapping) and part.get("type") == "text" for part in parts):
            raise BadInput(f"{name}[{j}] holds more than text, must be text: images and sounds are not read here")


def _boundaries(tokenizer: Any, text: str) -> list[int]:
    """Where a text may be cut: between its tokens, or anywhere if the tokenizer does not tell."""
    try:
        offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    except (NotImplementedError, TypeError, KeyError):
        return list(range(len(text) + 1))
    return sorted({0, len(text), *(int(end) for _, end in offsets)})


def shortened(tokenizer: Any, text: str, longest: int) -> str:
    """The longest beginning of a text with at most ``longest`` tokens."""
    while text and (over := len(tokenizer(text, add_special_tokens=False)["input_ids"]) - longest) > 0:
        places = _boundaries(tokenizer, text)
        text = text[: places[max(0, len(places) - 1 - over)]]
    return text


def _opening(tokenizer: Any) -> list[int]:
    """The tokens that a tokenizer puts before any text: the beginning of the sequence, if it uses one."""
    bare, full = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    before = (i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return list(full[: next(before, 0)])


def _listed(given: Any, name: str) -> list[Any]:
    if isinstance(given, str | bytes | Mapping | Chat) or not isinstance(given, Iterable):
        raise BadInput(f"{name} = {given!r:.60} is a single {type(given).__name__}, must be a list of texts")
    return list(given)


def _numbered(given: Sequence[Any], what: str = "prompts") -> list[str]:
    return [f"{what}[{i}]" for i in range(len(given))]


def _warn_of_long(policy: Policy, names: Sequence[str], rows: Sequence[Sequence[int]], new_tokens: int) -> None:
    """Computed positions (rotary) have no end, but the model was not trained beyond its own number."""
    places = getattr(policy.forward.base.config.get_text_config(), "max_position_embeddings", None)
    long = [i for i, row in enumerate(rows) if places is not None and len(row) + new_tokens > places]
    if long and not policy.is_encoder_decoder:
        logger.warning("%d of %d prompts with their answers exceed the model's %d positions, such as %s with %d tokens",
                       len(long), len(rows), places, names[long[0]], len(rows[long[0]]))  # fmt: skip


def _unfit(name: str, text: str | None, row: Sequence[int], room: int | None) -> str | None:
    """The reason why a prompt cannot be used, or None; its text, if known, may not be blank."""
    if not len(row) or (text is not None and not text.strip()):
        return f"{name} is empty"
    if room is not None and len(row) > room:
        return f"{name} has {len(row)} tokens, must have {room} at most"
    return None


def _refuse(problems: Sequence[str], count: int) -> None:
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        advice = "cut the prompts, or leave these out with unfit = 'drop'"
        raise BadInput(f"{len(problems)} of {count} prompts do not fit: {'; '.join(problems[:5])}{more} ({advice})")


def texts_of(policy: Policy, completion: Tokens) -> list[str]:
    """Completions in the form for judges, up to their end; without a tokenizer, the ids of the tokens before it, with
    blanks between.

    >>> from transformers import GPT2Config
    >>> from llm_bridge.policy import load_policy, pad_right
    >>> tiny = load_policy(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=5, eos_token_id=0, pad_token_id=0))
    >>> texts_of(tiny, pad_right([[3, 4, 0], [0]], 0))
    ['3 4', '']
    """
    rows = [ids[mask].tolist() for ids, mask in zip(completion.ids.cpu(), completion.mask.cpu(), strict=True)]
    rows = [row[: next((i for i, token in enumerate(row) if token in policy.ends), len(row))] for row in rows]
    if policy.tokenizer is not None:
        return [text.strip() for text in policy.tokenizer.batch_decode(rows, skip_special_tokens=True)]
    return [" ".join(map(str, row)) for row in rows]


def completions_of(policy: Policy, texts: Sequence[str], prompts: Prompts | None = None) -> list[list[int]]:
    """Texts as completions, each closed by the end that the policy would sample.

    That is the chat template's end of turn if there is one, else the end of sequence.  Given the ``prompts`` that they
    answer, completions are cut from the template's rendering of the whole conversation.

    Raises :class:`BadInput` for a text that contains an end, after which nothing would be sampled.
    """
    tokenizer, texts = _tokenizer(policy), _listed(texts, "texts")
    closing = _closing(policy)
    bare = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    rows = [_closed(policy, row, closing, f"texts[{i}]") for i, row in enumerate(bare)]
    if prompts is None or not prompts.chats:
        return rows
    prompts.check(texts=texts)
    template = Template(tokenizer)
    told = zip(rows, texts, prompts.chats, prompts.rows, strict=True)
    return [_in_conversation(template, text, chat, row) or alone for alone, text, chat, row in told]


def continued(policy: Policy, contexts: Sequence[str], texts: Sequence[str]) -> tuple[list[list[int]], list[list[int]]]:
    """Contexts and the texts that directly follow them, with their end, as ids: (before, after).

    Together they are the tokenizer's ids of the whole text: ``before`` is the part shared with the ids of the context
    alone, so a token across the border, such as a blank with its word, belongs to the text.  With a chat template the
    context is the user's turn and the text the answer; an encoder reads the context separately.
    """
    tokenizer = _tokenizer(policy)
    reader = _Reader(tokenizer, "{prompt}", None, None, [policy.eos_id] if policy.is_encoder_decoder else [])
    contexts = _listed(contexts, "contexts")
    chats, before = reader.read(contexts, None, "end", _numbered(contexts, "contexts"))
    if reader.chat is None and not policy.is_encoder_decoder:
        wholes = reader.ids([context + text for context, text in zip(contexts, texts, strict=True)])
        shared = [_shared(*each) for each in zip(before, wholes, strict=True)]
        both = list(zip(wholes, shared, strict=True))
        return [row[:k] for row, k in both], [[*row[k:], policy.eos_id] for row, k in both]
    bare = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    alone = [[*row, _closing(policy)] for row in bare]
    if reader.chat is None:
        return before, alone
    told = zip(alone, texts, chats, before, strict=True)
    return before, [_in_conversation(reader.chat, text, chat, row) or ids for ids, text, chat, row in told]


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the common beginning of two rows."""
    both = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(both) if a != b), min(len(one), len(other)))


def _in_conversation(template: Template, text: str, chat: Chat, row: Sequence[int]) -> list[int]:
    """The part of the whole conversation after the prompt's own tokens; empty if it does not begin with them."""
    whole = template.tokenizer(template.text(chat, text), add_special_tokens=False)["input_ids"]
    for opened in (whole, [*_opening(template.tokenizer), *whole]):
        if list(opened[: len(row)]) == list(row):
            behind = list(opened[len(row) :])
            return behind[: behind.index(template.end) + 1] if template.end in behind else []
    return []


def _closing(policy: Policy) -> int:
    """The end that the policy would sample: the chat template's end of turn if there is one."""
    end = end_of_turn(policy.tokenizer)
    return policy.eos_id if end is None or end not in policy.ends else end


def _closed(policy: Policy, row: Sequence[int], closing: int, name: str) -> list[int]:
    inside = next((i for i, token in enumerate(row) if token in policy.ends), len(row))
    if inside + 1 < len(row):
        token = policy.tokenizer.decode([row[inside]])
        raise BadInput(f"{name} continues after {token!r}, must end there: it is an end of sequence")
    return [*row[:inside], closing]


def _tokenizer(policy: Policy) -> Any:
    if policy.tokenizer is None:
        raise BadInput("policy has no tokenizer, must have one to read texts")
    return policy.tokenizer
