/**
 * The invitation with which somebody went to sign in: back here, it is redeemed without another question. It is kept for
 * this tab alone, and only when it was this person who pressed the button: a link alone puts nobody into an org.
 */

const KEY = "errand.invitation";

/** Somebody goes to sign in with this one. */
export function rememberInvitation(code: string | undefined): void {
  try {
    if (code === undefined) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, code);
  } catch {
    // Storage is forbidden: the page asks once more.
  }
}

/** Whether this is that one; asked once. */
export function wasRemembered(code: string): boolean {
  try {
    const same = sessionStorage.getItem(KEY) === code;
    sessionStorage.removeItem(KEY);
    return same;
  } catch {
    return false;
  }
}
