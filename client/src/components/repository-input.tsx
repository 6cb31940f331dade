/** A repository by its address, with those that are known as suggestions. */
import { useQuery } from "@tanstack/react-query";
import { Combobox } from "@/components/combobox";
import type { FieldProps } from "@/components/fields";
import { reposQuery } from "@/lib/repos";

/** See the head of the file. */
export function RepositoryInput({ field, testId, value, onChange }: { field: FieldProps; testId: string; value: string; onChange: (url: string) => void }) {
  const { data } = useQuery(reposQuery);
  const suggestions = (data?.repos ?? []).map((repo) => ({ value: repo.url, label: repo.name }));
  return <Combobox field={field} testId={testId} value={value} onChange={onChange} onPick={onChange} suggestions={suggestions} placeholder="https://github.com/owner/name" />;
}
