def resolve_chat_template(**settings: object) -> None:
    return None
