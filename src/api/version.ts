/** Version of the HTTP contract. It rises when the table changes; `test/api/contract.test.ts` holds its hash. */
export const apiVersion = "0.4.0";
