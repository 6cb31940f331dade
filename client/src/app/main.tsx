/** Entry point: theme, data cache, router. */
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createAppRouter } from "@/app/router";
import "@/app/styles.css";
import { meQuery } from "@/lib/account";
import { ApiError } from "@/lib/api";
import { startTheme } from "@/lib/theme";

startTheme();

/** What was refused was offered by mistake: one's role has changed, or one is no longer signed in. */
const onError = (error: Error) => {
  if (error instanceof ApiError && (error.status === 401 || error.status === 403)) void queries.invalidateQueries({ queryKey: meQuery.queryKey });
};

const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: {
    queries: {
      // Errand often runs on this machine: the browser's idea of being offline does not matter.
      networkMode: "always",
      retry: (failures, error) => failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
    },
    mutations: { networkMode: "always" },
  },
});
const router = createAppRouter(queries);

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
