/** Lists that come a page at a time: one way to ask for a page, and one to say where it ended. */
import { Type } from "@sinclair/typebox";
import { requestLimits as limits } from "./limits.ts";

/** Rows of a page when nothing is asked for. */
export const pageRowsDefault = 100;

const Cursor = (description: string) =>
  Type.String({ description, maxLength: limits.cursorLengthMax });

/** Parameters of a list. */
export const pageQuery = {
  limit: Type.Optional(
    Type.Integer({
      description: `Rows of the page. Default ${pageRowsDefault}.`,
      minimum: 1,
      maximum: limits.pageRowsMax,
    }),
  ),
  cursor: Type.Optional(Cursor("From the page before: the page begins where that one ended.")),
};

/** Members of the answer, beside the rows. */
export const pageResult = {
  has_more: Type.Boolean(),
  cursor: Type.Optional(Cursor("For the next page; absent on the last one.")),
};
