/**
 * Is a call from outside genuine? Senders sign in a few common ways; each is a header, or some, and an HMAC-SHA256 over what
 * they cover. A refusal says which part was wrong, and never what would have been right.
 */
import { CorvoError } from "../base/errors.ts";
import type { IncomingScheme, IncomingSettings } from "../engine/incoming.ts";

export interface IncomingCall {
  readonly text: string;
  /** By their names in small letters. */
  readonly headers: Readonly<Record<string, string>>;
}

/** HMAC-SHA256 of a text. */
export type Hmac = (key: Uint8Array, text: string) => Uint8Array;

interface Expected {
  readonly settings: IncomingSettings;
  readonly nowMs: number;
  readonly hmac: Hmac;
}

/** The header in which a scheme has the sender's id of the message. */
export const idHeaders: Readonly<Record<IncomingScheme, string | undefined>> = {
  none: undefined,
  github: "x-github-delivery",
  stripe: undefined,
  standard: "webhook-id",
  corvo: "x-corvo-delivery",
};

/** Throws UNAUTHORIZED when the call is not signed as the queue expects it. */
export function verifyCall(call: IncomingCall, expected: Expected): void {
  switch (expected.settings.scheme) {
    case "none":
      return;
    case "github":
      verifyPlain(call, expected, "x-hub-signature-256");
      return;
    case "corvo":
      verifyPlain(call, expected, "x-corvo-signature");
      return;
    case "stripe":
      verifyStripe(call, expected);
      return;
    case "standard":
      verifyStandard(call, expected);
      return;
  }
}

/** `sha256=HEX` over the body, with the whole secret as the key. */
function verifyPlain(call: IncomingCall, { settings, hmac }: Expected, header: string): void {
  const given = headerOf(call, header);
  const key = new TextEncoder().encode(settings.secret);
  const wanted = `sha256=${hex(hmac(key, call.text))}`;
  if (!isSame(given.toLowerCase(), wanted)) throw refused(`${header} does not fit the body`);
}

/** `t=SECONDS,v1=HEX,…` over time and body. */
function verifyStripe(call: IncomingCall, expected: Expected): void {
  const { settings, hmac } = expected;
  const header = "stripe-signature";
  const parts = headerOf(call, header)
    .split(",")
    .map((part) => part.trim().split("=", 2));
  const at = parts.find(([name]) => name === "t")?.[1] ?? "";
  checkTime(header, at, expected);
  const key = new TextEncoder().encode(settings.secret);
  const wanted = hex(hmac(key, `${at}.${call.text}`));
  const given = parts.filter(([name]) => name === "v1").map(([, value]) => value ?? "");
  if (!given.some((one) => isSame(one.toLowerCase(), wanted))) {
    throw refused(`${header} does not fit time and body`);
  }
}

/** `v1,BASE64 …` over id, time and body. */
function verifyStandard(call: IncomingCall, expected: Expected): void {
  const { settings, hmac } = expected;
  const header = "webhook-signature";
  const id = headerOf(call, "webhook-id");
  const at = headerOf(call, "webhook-timestamp");
  checkTime("webhook-timestamp", at, expected);
  const wanted = `v1,${base64(hmac(keyOf(settings.secret), `${id}.${at}.${call.text}`))}`;
  const given = headerOf(call, header).split(" ");
  if (!given.some((one) => isSame(one, wanted))) {
    throw refused(`${header} does not fit id, time and body`);
  }
}

function checkTime(header: string, text: string, { settings, nowMs }: Expected): void {
  if (!/^\d{1,12}$/.test(text)) throw refused(`${header} has no time in seconds`);
  const ageMs = nowMs - Number(text) * 1000;
  if (Math.abs(ageMs) <= settings.toleranceMs) return;
  const seconds = Math.round(Math.abs(ageMs) / 1000);
  throw refused(
    `${header} is of a time ${seconds} s ${ageMs > 0 ? "ago" : "ahead"}; at most ${settings.toleranceMs / 1000} s (tolerance)`,
  );
}

/** Headers may be repeated, and then stand behind each other; a signature that long is none. */
function headerOf({ headers }: IncomingCall, name: string): string {
  const value = headers[name];
  if (value === undefined || value === "") throw refused(`${name} is missing`);
  if (value.length > 4096) throw refused(`${name} has ${value.length} characters`);
  return value;
}

/** Secrets of the Standard Webhooks form are base 64 behind their prefix; any other is taken as it is. */
function keyOf(secret: string): Uint8Array {
  const coded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1];
  if (coded === undefined || coded.length % 4 !== 0) return new TextEncoder().encode(secret);
  return Uint8Array.from(atob(coded), (character) => character.charCodeAt(0));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** Takes as long for a text that differs in its first character as for one that differs in its last. */
function isSame(given: string, wanted: string): boolean {
  if (given.length !== wanted.length) return false;
  let difference = 0;
  for (let i = 0; i < wanted.length; i++) difference |= given.charCodeAt(i) ^ wanted.charCodeAt(i);
  return difference === 0;
}

function refused(message: string): CorvoError {
  return new CorvoError("UNAUTHORIZED", `the call is not taken: ${message}`, {
    hint: "Sender and queue must have the same secret and scheme; `corvo webhook incoming list` shows the scheme.",
  });
}
