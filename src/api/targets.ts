/** What a call to somebody else's URL is made with. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";

export const TargetUrl = Type.String({
  description: "URL that is called, http or https.",
  minLength: 8,
  maxLength: limits.targetUrlLengthMax,
});

export const TargetSecret = Type.String({
  description: "Signs what is sent.",
  minLength: 8,
  maxLength: limits.webhookSecretLengthMax,
});

const headerName = `^[\\s\\S]{0,${limits.targetHeaderLengthMax}}$`;

export const TargetHeaders = Type.Record(
  Type.String({ pattern: headerName }),
  Type.String({ maxLength: limits.targetHeaderLengthMax }),
  {
    description: "Headers that are sent along.",
    additionalProperties: false,
    maxProperties: limits.targetHeadersMax,
  },
);
