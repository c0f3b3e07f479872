/** Writes the page of features from the list that the tests run. */
import { writeFileSync } from "node:fs";
import { chapters } from "../test/features/chapters.ts";
import { describeFeatures } from "../test/features/page.ts";

writeFileSync(
  new URL("../docs/reference/features.md", import.meta.url),
  describeFeatures(chapters),
);
