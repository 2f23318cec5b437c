import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `npm run dev` serves the page itself and passes everything else on to a running gateway.
const gateway = process.env.VERBATIM_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "/app/",
  plugins: [react()],
  build: {
    // No data: addresses and no inline code, so that the page runs under a strict content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "^/(token|me|jobs|metadata|health|version)": gateway,
      "/ws": { target: gateway, ws: true, changeOrigin: true },
    },
  },
});
