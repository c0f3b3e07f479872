import type { Context } from "./context.ts";
export interface ImportOptions {
  readonly source: string;
  readonly queue: string | undefined;
  readonly options: Readonly<Record<string, unknown>>;
  readonly dryRun: boolean;
}
export async function importJobs(_context: Context, _options: ImportOptions): Promise<number> {
  return 0;
}
