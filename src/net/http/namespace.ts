/**
 * Clients of 0.3 may name a namespace, which kept tenants apart there. Here is none but the default one: a call for another must
 * not find, or work on, what belongs to others.
 */
import { CorvoError } from "../../base/errors.ts";

const header = "x-corvo-namespace";

export function refuseNamespace({ headers }: Request): void {
  const name = headers.get(header);
  if (name === null || name === "" || name === "default") return;
  throw new CorvoError("UNSUPPORTED", `${header}: there is no namespace "${name.slice(0, 80)}"`, {
    hint: "Leave the header out. Tenants that must not meet need servers of their own.",
  });
}
