// What the caller may do, so that a button says why it does nothing before the server refuses it.

import { get, token } from './api.js';
import { changed } from './live.js';

const does = { call: 'runs tasks, jobs and networks', admin: 'changes plugins' };
const known = { of: undefined, self: null }; // of the token that is used

/** refused takes note that the server has refused what takes a scope. */
export function refused(scope) {
  known.self = { ...known.self, scopes: (known.self?.scopes ?? Object.keys(does)).filter((one) => one !== scope) };
}

/** why says why the caller may not do what takes a scope; '' if they may, or if it is not known yet. */
export function why(scope) {
  ask();
  return !known.self || known.self.scopes.includes(scope) ? '' : `Your token has no scope ${scope}, which ${does[scope]}.`;
}

/** priorities are those that jobs of the caller may have; null while they are not known. */
export function priorities() {
  ask();
  return known.self?.priorities ?? null;
}

// ask asks once for each token. Where the answer is lost, what is pressed finds out.
function ask() {
  const used = token.get();
  if (known.of === used) return;
  Object.assign(known, { of: used, self: null });
  get('/v1/self').then((self) => {
    if (known.of !== used) return;
    known.self = self;
    changed('rights');
  }, () => {});
}

/** guard has a button that takes a scope say why it does nothing, if it does; and returns that. */
export function guard(button, scope) {
  const reason = why(scope);
  if (reason) button.setAttribute('aria-disabled', 'true');
  else button.removeAttribute('aria-disabled');
  button.title = reason;
  return reason;
}
