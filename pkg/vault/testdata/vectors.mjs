// Makes the golden vectors of pkg/vault with Node's crypto, as programs in the field seal their fields:
//
//   node vectors.mjs > vectors.json      the same bytes on every run
//   node vectors.mjs open < go.json      opens what Go sealed, exits 1 if anything differs
import { createCipheriv, createDecipheriv, createHash, scryptSync } from 'node:crypto';
import { readFileSync } from 'node:fs';

// Bytes that look random and are the same on every run.
const seeded = (label, size) => createHash('sha512').update(label).digest().subarray(0, size);

const raw = seeded('key', 32);
const passphrase = 'correct horse battery staple';
const keys = [
  { form: 'hex', text: raw.toString('hex'), key: raw },
  { form: 'hex upper case', text: raw.toString('hex').toUpperCase(), key: raw },
  { form: 'hex prefix', text: 'hex:' + raw.toString('hex'), key: raw },
  { form: 'base64', text: raw.toString('base64'), key: raw },
  { form: 'base64 unpadded', text: raw.toString('base64').replace(/=+$/, ''), key: raw },
  { form: 'base64url', text: raw.toString('base64url'), key: raw },
  { form: 'base64 prefix', text: 'base64:' + raw.toString('base64'), key: raw },
  { form: 'utf8', text: 'utf8:abcdefghijklmnopqrstuvwxyz012345', key: Buffer.from('abcdefghijklmnopqrstuvwxyz012345') },
  { form: 'utf8 of several bytes each', text: 'utf8:äöüßäöüßäöüßäöüß', key: Buffer.from('äöüßäöüßäöüßäöüß') },
  { form: 'sha256', text: 'sha256:' + passphrase, key: createHash('sha256').update(passphrase).digest() },
  { form: 'scrypt', text: 'scrypt:' + passphrase, key: scryptSync(passphrase, 'salt', 32) },
];

const encodings = {
  hex: (b) => b.toString('hex'),
  'hex upper case': (b) => b.toString('hex').toUpperCase(),
  base64: (b) => b.toString('base64'),
  'base64 unpadded': (b) => b.toString('base64').replace(/=+$/, ''),
  base64url: (b) => b.toString('base64url'),
};

const contents = ['', 'x', 'sk_test_4eC39HqLyjWDarjtT1zdp7dc', 'Grüße, 世界 🌍', 'a:b:c', 'long '.repeat(80)];

function seal(key, iv, text) {
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 });
  const content = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return [iv, cipher.getAuthTag(), content];
}

function make() {
  const vectors = [];
  for (const { form, text: keyText, key } of keys) {
    for (const ivSize of [12, 16]) {
      for (const [name, encode] of Object.entries(encodings)) {
        const plain = contents[vectors.length % contents.length];
        const parts = seal(key, seeded(`iv ${vectors.length}`, ivSize), plain);
        vectors.push({ key_form: form, key: keyText, iv_bytes: ivSize, encoding: name, plain, sealed: parts.map(encode).join(':') });
      }
      for (const plain of contents) {
        const [iv, tag, content] = seal(key, seeded(`iv ${vectors.length}`, ivSize), plain);
        vectors.push({
          key_form: form, key: keyText, iv_bytes: ivSize, encoding: 'hex iv and tag, base64 content', plain,
          sealed: `${iv.toString('hex')}:${tag.toString('hex')}:${content.toString('base64')}`,
        });
      }
    }
  }
  return vectors;
}

function open(vector) {
  const [iv, tag, content] = vector.sealed.split(':').map((part) => Buffer.from(part, 'hex'));
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(vector.key, 'hex'), iv, { authTagLength: 16 });
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(content), decipher.final()]).toString('utf8');
}

if (process.argv[2] === 'open') {
  const vectors = JSON.parse(readFileSync(0, 'utf8'));
  const wrong = vectors.filter((vector) => open(vector) !== vector.plain);
  console.error(`Node opened ${vectors.length - wrong.length} of ${vectors.length} texts that Go had sealed`);
  process.exit(vectors.length > 0 && wrong.length === 0 ? 0 : 1);
}
console.log(JSON.stringify(make(), null, 1));
