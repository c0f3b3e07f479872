/** Addresses of nodes: their parts, and which of them others can call. */
import { expect, test } from "bun:test";
import {
  hostAndPort,
  leadsHere,
  partsOf,
  reachableHost,
  refuseOutOfReach,
} from "../../src/commands/server/addresses.ts";

test.each([
  ["10.0.0.7:9000", "10.0.0.7", 9000],
  ["a.lan:80", "a.lan", 80],
  ["[fd00::7]:9000", "fd00::7", 9000],
])("%s has a host and a port", (address, host, port) => {
  expect(partsOf(address)).toEqual({ host, port });
  expect(hostAndPort(host, port)).toBe(address);
});

test("what leads to the own machine is told from what does not, as address and as URL", () => {
  for (const address of ["127.0.0.1:1", "localhost:1", "[::1]:1"]) {
    expect([address, leadsHere(address), leadsHere(`http://${address}`)]).toEqual([
      address,
      true,
      true,
    ]);
  }
  expect([leadsHere("10.0.0.7:1"), leadsHere("https://a.lan")]).toEqual([false, false]);
});

test("all interfaces are told to others as one of them", () => {
  for (const host of ["0.0.0.0", "::", "[::]"]) expect(reachableHost(host)).toMatch(/^[\d.]+$/);
  expect(reachableHost("a.lan")).toBe("a.lan");
});

const node = (uuid: string, host: string, urlHost = host) => ({
  uuid,
  peerAddress: `${host}:9000`,
  httpUrl: `http://${urlHost}:8080`,
});

test("a node that nobody could reach is refused, and told which address it is", () => {
  const far = [node("a", "10.0.0.7")];
  expect(() => refuseOutOfReach(node("b", "127.0.0.1"), far)).toThrow("the peer address");
  expect(() => refuseOutOfReach(node("b", "10.0.0.8", "localhost"), far)).toThrow("10.0.0.7:8080");
  expect(() => refuseOutOfReach(node("b", "10.0.0.8"), far)).not.toThrow();
});

test("nodes of one machine are among themselves", () => {
  const here = [node("a", "127.0.0.1")];
  expect(() => refuseOutOfReach(node("b", "127.0.0.1"), here)).not.toThrow();
  expect(() => refuseOutOfReach(node("b", "10.0.0.8"), here)).not.toThrow();
  expect(() => refuseOutOfReach(node("a", "127.0.0.1"), [])).not.toThrow();
});

test("a member whose record says so already may tell its version, and may not move out of reach", () => {
  const own = node("b", "10.0.0.8", "127.0.0.1");
  const members = [node("a", "10.0.0.7"), own];
  expect(() => refuseOutOfReach({ ...own }, members)).not.toThrow();
  expect(() => refuseOutOfReach({ ...own, peerAddress: "127.0.0.1:9000" }, members)).toThrow(
    "the peer address",
  );
});
