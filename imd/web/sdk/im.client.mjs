// The same SDK as an ES module: import im from "…/sdk/im.client.mjs"
import "./im.client.js";

export default globalThis.im;
