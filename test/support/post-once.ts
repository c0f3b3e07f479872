/** A process of its own that sends one message to the URL in its arguments, on loopback, and prints what came of it. */
import { systemClock, systemTimers } from "../../src/commands/_shared/system.ts";
import { parseAllowRule } from "../../src/net/outbound/address.ts";
import { createPost } from "../../src/net/outbound/post.ts";

const loopback = parseAllowRule("127.0.0.1");
const allow = loopback === undefined ? [] : [loopback];
const post = createPost({ clock: systemClock, timers: systemTimers, allow });
const message = { id: "dlv_1", secret: "", headers: {}, body: "{}" };
process.stdout.write(JSON.stringify(await post({ ...message, url: process.argv[2] ?? "" })));
