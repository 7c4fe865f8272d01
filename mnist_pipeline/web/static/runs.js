// The list of runs, read again while somebody looks at it: a run that begins appears, and one that ends says how.
import { readAgain } from "./again.js";

const EVERY = 3000; // milliseconds

setInterval(() => {
  if (!document.hidden) readAgain("runs").catch(() => {}); // a server that is away may come again
}, EVERY);
