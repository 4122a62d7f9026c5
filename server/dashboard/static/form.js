// A form of a JSON Schema, for as much of it as a form can be: objects, numbers, text, choices,
// lists of such. What is beyond that is a field of JSON.

import { h, put } from './dom.js';

/** formOf returns {el, read(), write(value), fault(field, text)}. read throws what is wrong in words. */
export function formOf(schema, id = 'in') {
  return field(schema ?? {}, id, '', false, 0);
}

/** example is a value to begin with: what the schema says, else what it must have. */
export function example(schema) {
  if (!schema || typeof schema !== 'object') return {};
  if (schema.default !== undefined) return schema.default;
  if (schema.examples?.length) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  switch (typeOf(schema)) {
    case 'object': {
      const value = {};
      for (const name of schema.required ?? []) value[name] = example(schema.properties?.[name]);
      return value;
    }
    case 'array': return [];
    case 'string': return '';
    case 'number': case 'integer': return schema.minimum ?? 0;
    case 'boolean': return false;
  }
  return {};
}

const typeOf = (schema) => (Array.isArray(schema.type) ? schema.type.find((t) => t !== 'null') : schema.type ?? (schema.properties ? 'object' : undefined));

function field(schema, id, name, required, depth) {
  const type = typeOf(schema);
  if (type === 'object' && schema.properties && depth < 4) return object(schema, id, name, depth);
  if (schema.enum?.every((v) => v === null || typeof v !== 'object')) return choice(schema, id, name, required);
  switch (type) {
    case 'boolean': return choice({ ...schema, enum: [true, false] }, id, name, required);
    case 'number': case 'integer': return input(schema, id, name, required, {
      attributes: { type: 'number', step: type === 'integer' ? 1 : 'any', min: schema.minimum, max: schema.maximum, inputmode: type === 'integer' ? 'numeric' : 'decimal' },
      parse: (text) => {
        const v = Number(text);
        if (!Number.isFinite(v)) throw new Error('must be a number');
        return v;
      },
    });
    case 'string': return input(schema, id, name, required, { attributes: { type: 'text', maxlength: schema.maxLength }, parse: (text) => text });
  }
  return json(schema, id, name, required);
}

// labelled is a control with its name, its description and room for what is wrong with it.
function labelled(schema, id, name, required, control, read, write) {
  const fault = h('p', { class: 'fault', id: `${id}-fault` });
  control.id = id;
  control.setAttribute('aria-describedby', `${id}-hint ${id}-fault`);
  if (required) control.setAttribute('aria-required', 'true');
  const bounds = [schema.minimum !== undefined && `from ${schema.minimum}`, schema.maximum !== undefined && `to ${schema.maximum}`].filter(Boolean).join(' ');
  const el = h('div', { class: 'field' },
    h('label', { for: id }, schema.title ?? (name || 'Input'), required && name && h('span', { class: 'quiet' }, ' required')),
    control, h('p', { class: 'hint', id: `${id}-hint` }, [schema.description, bounds].filter(Boolean).join(' · ')), fault);
  return {
    el, write,
    read() {
      this.fault('', '');
      try {
        return read();
      } catch (e) {
        this.fault('', e.message);
        control.focus();
        throw new Error(`${name || 'input'}: ${e.message}`, { cause: e });
      }
    },
    fault(_, text) {
      put(fault, text);
      control.setAttribute('aria-invalid', text ? 'true' : 'false');
    },
  };
}

function input(schema, id, name, required, { attributes, parse }) {
  const control = schema.lines ? h('textarea', { rows: schema.lines, spellcheck: 'false' }) : h('input', { ...attributes, autocomplete: 'off', spellcheck: 'false' });
  return labelled(schema, id, name, required, control,
    () => (control.value === '' && !(required && typeOf(schema) === 'string') && name ? missing(required) : parse(control.value)),
    (value) => { control.value = value ?? ''; });
}

function missing(required) {
  if (required) throw new Error('is required');
  return undefined;
}

function choice(schema, id, name, required) {
  const control = h('select', {}, !required && h('option', { value: '' }, '–'), schema.enum.map((v, i) => h('option', { value: String(i) }, String(v))));
  return labelled(schema, id, name, required, control,
    () => (control.value === '' ? undefined : schema.enum[Number(control.value)]),
    (value) => { const at = schema.enum.indexOf(value); control.value = at < 0 ? '' : String(at); });
}

function json(schema, id, name, required) {
  const control = h('textarea', { rows: 3, spellcheck: 'false', class: 'mono' });
  return labelled({ ...schema, description: [schema.description, 'JSON'].filter(Boolean).join(' · ') }, id, name, required, control,
    () => (control.value.trim() === '' ? missing(required) : parseJSON(control.value)),
    (value) => { control.value = value === undefined ? '' : JSON.stringify(value); });
}

/** parseJSON says in words what is wrong. */
export function parseJSON(text) {
  try {
    return JSON.parse(text);
  } catch (e) {
    throw new Error(`is no JSON: ${e.message}`, { cause: e });
  }
}

function object(schema, id, name, depth) {
  const fields = Object.entries(schema.properties).map(([member, of]) => [member, field(of === true ? {} : of, `${id}.${member}`, member, (schema.required ?? []).includes(member), depth + 1)]);
  const el = h('fieldset', { class: name ? '' : 'plain' }, h('legend', { class: name ? '' : 'quiet' }, schema.title ?? (name || 'Input')), schema.description && h('p', { class: 'hint' }, schema.description), h('div', { class: 'fields' }, fields.map(([, f]) => f.el)));
  return {
    el,
    read() {
      const value = {};
      for (const [member, f] of fields) {
        const v = f.read();
        if (v !== undefined) value[member] = v;
      }
      return name && Object.keys(value).length === 0 && !(schema.required ?? []).length ? undefined : value;
    },
    write(value) {
      for (const [member, f] of fields) f.write(value?.[member]);
    },
    fault(path, text) {
      const [first, ...rest] = path.split(/[.[]/);
      fields.find(([member]) => member === first)?.[1].fault(rest.join('.'), text);
    },
  };
}
