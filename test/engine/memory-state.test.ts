import { MemoryState } from "../../src/engine/memory-state.ts";
import { stateContract } from "../contract/state.ts";

stateContract("plain memory", () => {
  const state = new MemoryState();
  return { state, store: () => {}, reopen: () => state, close: () => {} };
});
