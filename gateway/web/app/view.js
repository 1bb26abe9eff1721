// How views are made: Preact's elements written with htm's templates, and Preact's hooks.
import { Component, h, render } from "../vendor/preact/preact.js";
import htm from "../vendor/htm/htm.js";

export const html = htm.bind(h);
export { Component, render };
export * from "../vendor/preact/hooks.js";
