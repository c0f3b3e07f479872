import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  type AllowRule,
  isAllowed,
  isPublic,
  parseAddress,
  parseAllowRule,
} from "../../../src/net/outbound/address.ts";

const bytes = (text: string) => {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return address;
};
const rules = (...texts: string[]): AllowRule[] =>
  texts.map((text) => {
    const rule = parseAllowRule(text);
    if (rule === undefined) throw new Error(`${text} is no rule`);
    return rule;
  });

const closed = [
  ...["0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9"],
  ...["169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.168.1.1"],
  ...[
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "255.255.255.255",
  ],
  ...["::", "::1", "::127.0.0.1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1"],
  ...["ff02::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "3fff::1", "64:ff9b:1::1", "100::1"],
  ...["::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1"],
  ...["64:ff9b::a9fe:a9fe", "[::1]", "0:0:0:0:0:ffff:c0a8:0101", "fd00:ec2::254"],
];
const open = [
  ...["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1"],
  ...["192.0.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255", "11.0.0.1", "128.0.0.1"],
  ...["2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "[2606:4700::1]"],
];

test("addresses inside of networks are told from those of the internet, in whatever form", () => {
  expect(closed.filter((text) => isPublic(bytes(text)))).toEqual([]);
  expect(open.filter((text) => !isPublic(bytes(text)))).toEqual([]);
});

test("every way to write an IPv6 address is read as the same one", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 }),
      (groups) => {
        const long = groups.map((group) => group.toString(16).padStart(4, "0")).join(":");
        const short = new URL(`http://[${long}]/`).hostname;
        expect(parseAddress(short)).toEqual(parseAddress(long));
      },
    ),
  );
  expect(parseAddress("1:2::7:8")).toEqual(parseAddress("1:2:0:0:0:0:7:8"));
  expect(parseAddress("1::1.2.3.4")).toEqual(parseAddress("1:0:0:0:0:0:102:304"));
});

test("what is no address is none", () => {
  const wrong = [
    "",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "01.2.3.4",
    "::g",
    "1::2::3",
    "0x7f.1",
  ];
  expect(wrong.filter((text) => parseAddress(text) !== undefined)).toEqual([]);
});

test("the operator may allow ranges, addresses and hosts, and nothing beside them", () => {
  const allowed = rules("10.1.0.0/16", "192.168.7.7", "fd00::/8", "Hooks.lan");

  expect(isAllowed(allowed, "any", bytes("10.1.255.1"))).toBe(true);
  expect(isAllowed(allowed, "any", bytes("10.2.0.1"))).toBe(false);
  expect(isAllowed(allowed, "any", bytes("192.168.7.7"))).toBe(true);
  expect(isAllowed(allowed, "any", bytes("192.168.7.8"))).toBe(false);
  expect(isAllowed(allowed, "any", bytes("fdff::1"))).toBe(true);
  expect(isAllowed(allowed, "any", bytes("fe80::1"))).toBe(false);
  expect(isAllowed(allowed, "hooks.LAN", bytes("172.16.0.9"))).toBe(true);
  expect(isAllowed(allowed, "x.hooks.lan", bytes("172.16.0.9"))).toBe(false);
  expect(isAllowed(rules("::ffff:127.0.0.1"), "any", bytes("127.0.0.1"))).toBe(true);
  expect(isAllowed(rules("0.0.0.0/0"), "any", bytes("::1"))).toBe(false);
});

test("a rule that is none is refused", () => {
  const wrong = [
    "",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/8/8",
    "10.0.0",
    "host/8",
    "a b",
    "10.0.0.0/x",
    "-x",
  ];
  expect(wrong.filter((text) => parseAllowRule(text) !== undefined)).toEqual([]);
});
