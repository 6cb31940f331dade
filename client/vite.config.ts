/** How the client is built and tested. In development, calls go to a Worker that runs beside it. */
import { fileURLToPath } from "node:url";
import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const worker = `http://127.0.0.1:${process.env["ERRAND_PORT"] ?? "8787"}`;

export default defineConfig({
  plugins: [react(), tailwind()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": { target: worker, ws: true }, "/auth": { target: worker } },
  },
  build: { target: "es2023", chunkSizeWarningLimit: 700 },
  test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node" },
});
