/**
 * The colours of standard error; loaded only where they are shown.
 *
 * @module
 */
import { dim, red, yellow } from "jsr:@std/fmt@1.0.10/colors";

/** Colours by name; each takes a text and returns it in its colour. */
export const COLOURS: Record<
  "dim" | "red" | "yellow",
  (text: string) => string
> = { dim, red, yellow };
