/** The palette: every session and every action, by name. Loaded on first use. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Command } from "cmdk";
import { Dialog as Radix } from "radix-ui";
import { ActivityIcon } from "@/components/activity";
import { Kbd } from "@/components/bits";
import { sessionsQuery } from "@/features/sessions/list";
import { actions, keyName } from "@/lib/actions";
import { repoName } from "@/lib/format";
import { useStore } from "@/lib/store";

const ITEM =
  "flex h-9 cursor-default items-center gap-2 rounded-md px-2.5 text-sm select-none data-[selected=true]:bg-hover pointer-coarse:h-11";

/** See the head of the file. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const offered = useStore(actions).filter((action) => !action.keyOnly);
  const list = useInfiniteQuery(sessionsQuery);
  const navigate = useNavigate();
  const sessions = list.data?.pages.flatMap((page) => page.sessions) ?? [];
  const groups = [...new Set(offered.map((action) => action.group))];
  const choose = (run: () => void) => () => {
    onClose();
    run();
  };
  return (
    <Radix.Root open onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="appear fixed inset-0 z-40 bg-shade" />
        <Radix.Content
          aria-describedby={undefined}
          data-testid="palette"
          className="appear fixed inset-x-2 top-[8dvh] z-50 mx-auto max-w-xl overflow-hidden rounded-lg border border-line bg-raised shadow-lg"
        >
          <Radix.Title className="sr-only">Search and run anything</Radix.Title>
          <Command label="Search and run anything" loop>
            <Command.Input
              placeholder="Find a session or an action"
              className="h-11 w-full border-b border-line bg-transparent px-4 text-base text-ink outline-none placeholder:text-faint"
            />
            <Command.List className="max-h-[56dvh] overflow-y-auto p-1.5 [&_[cmdk-group-heading]]:px-2.5 [&_[cmdk-group-heading]]:py-1 [&_[cmdk-group-heading]]:text-xs [&_[cmdk-group-heading]]:text-muted">
              <Command.Empty className="px-3 py-6 text-center text-sm text-muted">Nothing by that name.</Command.Empty>
              {groups.map((group) => (
                <Command.Group key={group} heading={group}>
                  {offered
                    .filter((action) => action.group === group)
                    .map((action) => (
                      <Command.Item key={action.id} value={`${action.label} ${action.id}`} onSelect={choose(action.run)} className={ITEM}>
                        <span className="flex-1">{action.label}</span>
                        {action.key === undefined ? null : <Kbd>{keyName(action.key)}</Kbd>}
                      </Command.Item>
                    ))}
                </Command.Group>
              ))}
              {sessions.length === 0 ? null : (
                <Command.Group heading="Sessions">
                  {sessions.map((session) => (
                    <Command.Item
                      key={session.id}
                      value={`${session.title} ${session.repo?.url ?? ""} ${session.id}`}
                      onSelect={choose(() => void navigate({ to: "/sessions/$sessionId", params: { sessionId: session.id } }))}
                      className={ITEM}
                    >
                      <ActivityIcon activity={session.activity} />
                      <span dir="auto" className="min-w-0 flex-1 truncate">
                        {session.title}
                      </span>
                      {session.repo ? <span className="text-xs text-muted">{repoName(session.repo.url)}</span> : null}
                    </Command.Item>
                  ))}
                </Command.Group>
              )}
            </Command.List>
          </Command>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
