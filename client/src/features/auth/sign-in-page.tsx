/** Sign-in. In development a name is enough; the page says so. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type SyntheticEvent } from "react";
import { Card, Skeleton } from "@/components/bits";
import { Button } from "@/components/button";
import { Field, TextInput } from "@/components/fields";
import { installationQuery, meQuery } from "@/lib/account";
import { call, messageOf } from "@/lib/api";
import type { DevSignIn } from "@/protocol/DevSignIn";
import type { SignedIn } from "@/protocol/SignedIn";
import { CircleAlert } from "lucide-react";

const LOGIN = /^[a-z0-9-]{1,39}$/;

/** The page; `onDone` is called when somebody is signed in. */
export function SignInPage({ onDone }: { onDone: () => void }) {
  const installation = useQuery(installationQuery);
  return (
    <main className="flex min-h-full flex-col items-center justify-center px-4 py-10">
      <div className="w-full max-w-88">
        <div className="mb-6 flex items-center gap-2.5">
          <img src="/icon.svg" alt="" className="size-8" />
          <h1 className="text-xl font-semibold">Errand</h1>
        </div>
        <p className="mb-6 text-muted">
          Coding agents that work in the background, each in its own sandbox. You watch, steer and take the result.
        </p>
        {installation.isPending ? <Skeleton className="h-28 w-full" /> : null}
        {installation.isError ? (
          <Card
            tone="red"
            role="alert"
            icon={<CircleAlert size={16} />}
            title="Errand does not answer"
            actions={<Button onClick={() => void installation.refetch()}>Try again</Button>}
          >
            {messageOf(installation.error)}
          </Card>
        ) : null}
        {installation.data?.signIn.includes("dev") ? <DevForm onDone={onDone} /> : null}
        {installation.data && !installation.data.signIn.includes("dev") ? (
          <Card tone="amber" icon={<CircleAlert size={16} />} title="No way to sign in">
            This installation has no sign-in configured. Its operator can set one up.
          </Card>
        ) : null}
      </div>
    </main>
  );
}

function DevForm({ onDone }: { onDone: () => void }) {
  const client = useQueryClient();
  const [login, setLogin] = useState("");
  const [tried, setTried] = useState(false);
  const signIn = useMutation({
    mutationFn: (body: DevSignIn) => call<SignedIn>("POST", "/auth/dev", body),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: meQuery.queryKey });
      onDone();
    },
  });
  const name = login.trim().toLowerCase();
  const wrong = tried && !LOGIN.test(name) ? "Use 1–39 letters a–z, digits or hyphens." : undefined;
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    setTried(true);
    if (LOGIN.test(name)) signIn.mutate({ login: name });
  };
  return (
    <form onSubmit={submit} noValidate className="flex flex-col gap-3">
      <Field
        label="Your name"
        hint="Sign-in as a local developer: any name works and there is no password. What you start is seen by that name only."
        error={wrong ?? (signIn.isError ? messageOf(signIn.error) : undefined)}
      >
        {({ id, describedBy }) => (
          <TextInput
            id={id}
            data-testid="sign-in-login"
            aria-describedby={describedBy}
            aria-invalid={wrong !== undefined}
            name="login"
            autoComplete="username"
            autoCapitalize="off"
            spellCheck={false}
            autoFocus
            placeholder="ada"
            value={login}
            onChange={(event) => setLogin(event.target.value)}
          />
        )}
      </Field>
      <Button look="primary" type="submit" data-testid="sign-in-submit" disabled={signIn.isPending} className="h-9">
        {signIn.isPending ? "Signing in…" : "Sign in"}
      </Button>
    </form>
  );
}
