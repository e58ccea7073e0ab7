import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The gateway of a running `tradewind up`, for `npm run dev` only; the built page talks to its own origin.
const gateway = "http://127.0.0.1:8080";
const live = { target: gateway, ws: true };

export default defineConfig({
  plugins: [react()],
  build: {
    // The page is served under a Content-Security-Policy of 'self': no data: URLs, no inline polyfill.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": live, "/v2": live, "/stream": live, "/demo": live } },
  test: { include: ["src/**/*.test.ts"] },
});
