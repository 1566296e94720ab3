// What the bundler calls for every element; see build.mjs.
export { Fragment, h } from "preact";
