// Asking for a token, and asking whether something is meant.

import { h, put } from './dom.js';
import { token } from './api.js';

const dialog = document.getElementById('dialog');
let asking = null;
let declined = false; // until somebody wants to sign in: what is asked for again and again must not ask anew

/** SignedOut is that nobody gave a token. */
export class SignedOut extends Error {}

/** offer has the next call that needs a token ask for one, though somebody gave none before. */
export function offer() {
  declined = false;
}

/** askToken asks for a token once, however many calls need it. */
export function askToken(fault) {
  if (declined) return Promise.reject(new SignedOut('nobody is signed in'));
  asking ??= new Promise((resolve, reject) => {
    const input = h('input', {
      id: 'token', type: 'password', autocomplete: 'off', spellcheck: 'false', required: true,
      'aria-describedby': 'token-fault token-hint', 'aria-invalid': fault ? 'true' : 'false',
    });
    const form = h('form', { method: 'dialog', class: 'stack' },
      h('h2', { id: 'dialog-title' }, 'Sign in'),
      h('p', { id: 'token-hint' }, 'This server asks who calls. Paste a token; resonhost token new makes one. It is kept in this tab until the tab is closed.'),
      h('label', { for: 'token' }, 'Token'), input,
      h('p', { id: 'token-fault', class: 'fault', role: 'alert' }, fault),
      h('div', { class: 'row end' },
        h('button', { type: 'button', onclick: () => dialog.close('') }, 'Cancel'),
        h('button', { type: 'submit', class: 'primary', value: 'token' }, 'Sign in')));
    show(form, (answer) => {
      asking = null;
      if (answer === 'token' && input.value.trim()) {
        token.set(input.value.trim());
        resolve();
      } else {
        declined = true;
        reject(new SignedOut('nobody is signed in'));
      }
    });
    input.focus();
  });
  return asking;
}

/** sure asks whether something is meant that others will notice. */
export function sure(title, text, action) {
  return new Promise((resolve) => {
    const form = h('form', { method: 'dialog', class: 'stack' },
      h('h2', { id: 'dialog-title' }, title), h('p', {}, text),
      h('div', { class: 'row end' },
        h('button', { type: 'button', onclick: () => dialog.close('') }, 'Cancel'),
        h('button', { type: 'submit', class: 'danger', value: 'yes' }, action)));
    show(form, (answer) => resolve(answer === 'yes'));
  });
}

// show opens the dialog; what had the focus gets it back, by the browser. The event of its end comes
// later than the end: by then it may be open again, which is none of this one's.
function show(form, done) {
  if (dialog.open) dialog.close('');
  put(dialog, form);
  dialog.returnValue = '';
  const closed = () => {
    if (dialog.open && dialog.contains(form)) return;
    dialog.removeEventListener('close', closed);
    done(dialog.contains(form) ? dialog.returnValue : '');
  };
  dialog.addEventListener('close', closed);
  dialog.showModal();
}
