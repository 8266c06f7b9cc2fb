"""A parser of your own: `WORD: text` becomes a row. Set app.source.plugin_path to ../parsers/shout.py:parse."""


def parse(payload: bytes) -> dict[str, str]:
    word, _, text = payload.decode().partition(":")
    return {"word": word, "text": text.strip()}
