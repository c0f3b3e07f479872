/** Certificates for tests, made by the `openssl` command when a test asks for them. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface Certificate {
  readonly key: string;
  readonly cert: string;
}

export interface Authority {
  /** The certificate to trust. */
  readonly ca: string;
  /** A certificate of this authority, for these names, as in `DNS:localhost,IP:127.0.0.1`. */
  issue(names: string): Certificate;
}

/** Says why certificates cannot be made here, or nothing. */
export function whyNoCertificates(): string | undefined {
  const { error } = spawnSync("openssl", ["version"]);
  return error === undefined ? undefined : `the openssl command is not there: ${error.message}`;
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

function openssl(args: readonly string[]): void {
  const result = spawnSync("openssl", args, { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`openssl ${args.join(" ")}: ${result.stderr}`);
}

let sequence = 0;

/** A new authority that keeps its files in `directory`. */
export function createAuthority(directory: string): Authority {
  const fileOf = (name: string) => join(directory, name);
  const read = (name: string) => readFileSync(fileOf(name), "utf8");
  sequence += 1;
  const ca = `ca-${sequence}`;
  const caFiles = ["-keyout", fileOf(`${ca}.key`), "-out", fileOf(`${ca}.pem`)];
  openssl(["req", "-x509", ...newKey, ...caFiles, "-days", "2", "-subj", `/CN=${ca}`]);
  return {
    ca: read(`${ca}.pem`),
    issue(names) {
      sequence += 1;
      const name = `cert-${sequence}`;
      const request = ["-keyout", fileOf(`${name}.key`), "-out", fileOf(`${name}.csr`)];
      openssl(["req", ...newKey, ...request, "-subj", `/CN=${name}`]);
      writeFileSync(fileOf(`${name}.ext`), `subjectAltName=${names}`);
      openssl([
        ...["x509", "-req", "-in", fileOf(`${name}.csr`), "-out", fileOf(`${name}.pem`)],
        ...["-CA", fileOf(`${ca}.pem`), "-CAkey", fileOf(`${ca}.key`), "-CAcreateserial"],
        ...["-days", "2", "-extfile", fileOf(`${name}.ext`)],
      ]);
      return { key: read(`${name}.key`), cert: read(`${name}.pem`) };
    },
  };
}
