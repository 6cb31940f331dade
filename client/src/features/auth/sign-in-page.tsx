/** Sign-in: with GitHub or Google, as the installation offers; in development a name is enough, and the page says so. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { CircleAlert, MailOpen } from "lucide-react";
import { useState } from "react";
import { Card, Skeleton } from "@/components/bits";
import { Button, buttonLook } from "@/components/button";
import { Field, Form, TextInput } from "@/components/fields";
import { ProviderMark } from "@/features/auth/provider-mark";
import { rememberInvitation } from "@/features/auth/remembered";
import { installationQuery, meQuery } from "@/lib/account";
import { ApiError, call, messageOf } from "@/lib/api";
import type { DevSignIn } from "@/protocol/DevSignIn";
import type { SignedIn } from "@/protocol/SignedIn";

const LOGIN = /^[a-z0-9-]{1,39}$/;
const PROVIDERS = [
  { provider: "github", name: "GitHub" },
  { provider: "google", name: "Google" },
] as const;

interface SignInProps {
  /** Where to go afterwards: a path of this origin. */
  readonly next: string;
  /** The code of an invitation that brought somebody here. */
  readonly invitation?: string | undefined;
  /** Somebody is signed in. */
  readonly onDone: () => void;
}

/** See the head of the file. */
export function SignInPage({ next, invitation, onDone }: SignInProps) {
  const installation = useQuery(installationQuery);
  const ways = installation.data?.signIn ?? [];
  const providers = PROVIDERS.filter(({ provider }) => ways.includes(provider));
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
        {invitation === undefined ? null : (
          <div className="mb-4">
            <Card tone="accent" testId="invited" icon={<MailOpen size={16} aria-hidden />} title="You were invited">
              Sign in to join your colleagues. The invitation counts for the account that you choose here.
            </Card>
          </div>
        )}
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
        {providers.length === 0 ? null : (
          <ul aria-label="Ways to sign in" className="flex flex-col gap-2">
            {providers.map(({ provider, name }) => (
              <li key={provider}>
                <a
                  href={providerUrl(provider, next, invitation)}
                  data-testid={`sign-in-${provider}`}
                  onClick={() => rememberInvitation(invitation)}
                  className={buttonLook("secondary", "h-10 w-full gap-2.5 text-base")}
                >
                  <ProviderMark provider={provider} />
                  Continue with {name}
                </a>
              </li>
            ))}
          </ul>
        )}
        {providers.length > 0 && ways.includes("dev") ? (
          <p className="my-4 flex items-center gap-3 text-xs text-muted before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line">
            only in development
          </p>
        ) : null}
        {ways.includes("dev") ? <DevForm onDone={onDone} wantsCode={installation.data?.signInCode === true} autoFocus={providers.length === 0} /> : null}
        {installation.data && ways.length === 0 ? (
          <Card tone="amber" icon={<CircleAlert size={16} />} title="No way to sign in">
            This installation has no sign-in configured. Its operator can set one up.
          </Card>
        ) : null}
      </div>
    </main>
  );
}

/** Where the provider's sign-in begins. */
function providerUrl(provider: string, next: string, invitation: string | undefined): string {
  const query = new URLSearchParams({ return: next });
  if (invitation !== undefined) query.set("invitation", invitation);
  return `/auth/${provider}?${query.toString()}`;
}

interface DevFormProps {
  readonly onDone: () => void;
  /** The code that whoever started the installation was told. */
  readonly wantsCode: boolean;
  readonly autoFocus: boolean;
}

function DevForm({ onDone, wantsCode, autoFocus }: DevFormProps) {
  const client = useQueryClient();
  const [login, setLogin] = useState("");
  const [code, setCode] = useState("");
  const [tried, setTried] = useState(false);
  const signIn = useMutation({
    mutationFn: (body: DevSignIn) => call<SignedIn>("POST", "/auth/dev", body),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: meQuery.queryKey });
      onDone();
    },
  });
  const name = login.trim().toLowerCase();
  const wrongCode = tried && wantsCode && code.trim() === "" ? "It stands in the terminal, after the address." : undefined;
  const refusedCode = signIn.error instanceof ApiError && signIn.error.code === "forbidden" && wantsCode;
  const refused = signIn.isError ? messageOf(signIn.error) : undefined;
  const wrong = tried && !LOGIN.test(name) ? "Use 1–39 letters a–z, digits or hyphens." : undefined;
  const submit = () => {
    setTried(true);
    if (!LOGIN.test(name) || (wantsCode && code.trim() === "")) return;
    signIn.mutate(wantsCode ? { login: name, code: code.trim() } : { login: name });
  };
  return (
    <Form onSubmit={submit} className="flex flex-col gap-3">
      <Field
        label="Your name"
        hint="Sign-in as a local developer: any name works. What you start is seen by that name only."
        error={wrong ?? (refusedCode ? undefined : refused)}
      >
        {(field) => (
          <TextInput
            {...field}
            data-testid="sign-in-login"
            name="login"
            autoComplete="username"
            autoCapitalize="off"
            spellCheck={false}
            autoFocus={autoFocus}
            placeholder="ada"
            value={login}
            onChange={(event) => setLogin(event.target.value)}
          />
        )}
      </Field>
      {wantsCode ? (
        <Field
          label="Sign-in code"
          hint="Printed where Errand was started. Whoever else reaches this address, a sandbox for one, does not know it."
          error={wrongCode ?? (refusedCode ? refused : undefined)}
        >
          {(field) => (
            <TextInput
              {...field}
              data-testid="sign-in-code"
              name="code"
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              placeholder="abcd-2345"
              value={code}
              onChange={(event) => setCode(event.target.value)}
            />
          )}
        </Field>
      ) : null}
      <Button look="primary" type="submit" data-testid="sign-in-submit" disabled={signIn.isPending} className="h-9">
        {signIn.isPending ? "Signing in…" : "Sign in"}
      </Button>
    </Form>
  );
}
