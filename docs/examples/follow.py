"""Follow the change feed with nats-py, from where the last run stopped."""
import asyncio
import pathlib
import sys

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

STATE = pathlib.Path("follow.position")


async def main(url: str, workspace: str = "default") -> None:
    client = await nats.connect(url)
    stream = client.jetstream()
    position = int(STATE.read_text()) if STATE.exists() else 0
    subscription = await stream.subscribe(
        f"anamnesis.{workspace}.>",
        stream=f"ANAMNESIS_{workspace}",
        ordered_consumer=True,
        config=ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=position + 1),
    )
    async for message in subscription.messages:
        number = int(message.headers["ce-sequence"])
        if number <= position:
            continue  # Seen before: the broker may repeat itself, positions do not.
        print(number, message.headers["ce-type"], message.headers["ce-subject"], len(message.data), flush=True)
        position = number
        STATE.write_text(str(position))


asyncio.run(main(*sys.argv[1:]))
