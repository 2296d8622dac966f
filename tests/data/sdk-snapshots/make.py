"""Writes sessions with autoplay-sdk's own Redis store, and keeps the bytes that it stored.

    python3 -m venv venv && venv/bin/pip install autoplay-sdk==0.13.0 redis
    redis-server --port 6390 --save "" &
    venv/bin/python make.py redis://127.0.0.1:6390
"""

import asyncio
import json
import pathlib
import sys
import time

import redis
from autoplay_sdk.agent_state.v2.session_state import SessionState
from autoplay_sdk.chat.chatbot import (
    ConversationEventType,
    ConversationLink,
    RedisSessionStateStore,
)

HERE = pathlib.Path(__file__).parent
LINK = ConversationEventType.NEW


def link(state: SessionState, conversation_id: str) -> None:
    state.on_conversation_linked(
        ConversationLink(
            session_id=state.session_id, conversation_id=conversation_id, event=LINK
        )
    )


def fresh(state: SessionState) -> None:
    pass


def linked(state: SessionState) -> None:
    link(state, "conv-1001")


def proactive(state: SessionState) -> None:
    assert state.transition_to_proactive("trigger")
    state.record_option_click()
    state.tick()


def reactive(state: SessionState) -> None:
    state.transition_to_reactive()
    state.record_user_interaction()
    link(state, "conv-1003")


def tour(state: SessionState) -> None:
    assert state.transition_to_proactive("trigger")
    state.set_visual_guidance(True, "flow-42")
    state.record_tour_step()
    link(state, "conv-1004")


def cooling(state: SessionState) -> None:
    state.interaction_timeout_s = 0.001
    assert state.transition_to_proactive("trigger")
    time.sleep(0.01)
    state.tick()
    assert state.thinking.cooldown_active


CASES = {
    "fresh": (fresh, "sess-fresh", {}),
    "linked": (linked, "sess-linked", {"user_id": "u-1", "email": "ann@example.com"}),
    "proactive": (proactive, "sess-proactive", {"user_id": 4711}),
    "reactive": (reactive, "sess-reactive", {"email": "bob@example.com", "plan": None}),
    "tour": (tour, "sess-tour", {"user_id": "u-4"}),
    "cooling": (cooling, "sess-cooling", {}),
    "unicode": (
        linked,
        "sitzung-日本-🙂",
        {
            "user_id": "ü-5",
            "name": "Zoë \"Q\" 日本 🙂\u2028\\",
            "nested": {"list": [1, 2.5, True, None, {"deep": "ß"}]},
            "large": 2**53 + 1,
        },
    ),
}


async def main(url: str) -> None:
    store = RedisSessionStateStore(url)
    server = redis.Redis.from_url(url)
    for name, (change, session_id, metadata) in CASES.items():
        state = await store.get_or_create(session_id, metadata)
        change(state)
        await store.save(state)
        raw = server.get(f"autoplay:session_state:{session_id}")
        assert json.loads(raw)["session_id"] == session_id
        (HERE / f"{name}.json").write_bytes(raw)
        print(name, len(raw))


asyncio.run(main(sys.argv[1]))
