// Unit tests of the front end run in a simulated page; the browser tests live with the Python suite.
import { defineConfig } from "vitest/config";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  test: {
    environment: "happy-dom",
    globals: true,
    include: ["tests/**/*.test.{ts,tsx}"],
    // A test waits for what happens, however slow the machine is; only one that hangs takes so long.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
