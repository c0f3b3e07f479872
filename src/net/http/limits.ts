/** Bounds of the HTTP side. Every refusal that one of these causes names it. */
import { requestLimits } from "../../api/limits.ts";

export interface HttpLimits {
  /** Bytes of one request body or stream frame (flag `--max-body-size`). */
  readonly bodyBytesMax: number;
  /** Bytes of one payload, result, checkpoint or progress value (flag `--max-payload-size`). */
  readonly payloadBytesMax: number;
  /** Nesting of one JSON document. */
  readonly jsonDepthMax: number;
  /** Requests being served at one time, long polls included. */
  readonly requestsMax: number;
  /** Bytes of all request bodies being served at one time. */
  readonly bodiesBytesMax: number;
  /** Open streaming connections. */
  readonly streamsMax: number;
  /** Readers of life-cycle events that are connected at one time. */
  readonly eventReadersMax: number;
  /** Frames of one streaming connection that are not answered yet. */
  readonly streamFramesMax: number;
  /** Bytes waiting to be sent on one streaming connection before it is asked to slow down. */
  readonly streamBufferBytesMax: number;
}

export const defaultHttpLimits: HttpLimits = {
  bodyBytesMax: requestLimits.bodyBytesMax,
  payloadBytesMax: requestLimits.payloadBytesMax,
  jsonDepthMax: requestLimits.jsonDepthMax,
  requestsMax: 16_384,
  bodiesBytesMax: 512 * 1024 * 1024,
  streamsMax: 4096,
  eventReadersMax: 1024,
  streamFramesMax: 64,
  streamBufferBytesMax: 64 * 1024 * 1024,
};
