/** Joins class names. */
export { clsx as cx } from "clsx";
